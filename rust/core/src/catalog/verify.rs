//! Everything of a catalog that opening leaves for later.

use super::build::{ids_digest, newest_first, transpose};
use super::{Catalog, Labels};
use crate::error::Result;
use crate::format::Section;
use crate::{NONE, Ordinal};

pub(super) fn verify(catalog: &Catalog) -> Result<()> {
    let a = &catalog.artifact;
    a.verify()?;
    let items = 0..catalog.len() as Ordinal;
    catalog.ids.verify_sorted(a)?;
    catalog.titles.verify(a)?;
    for labels in [&catalog.tags, &catalog.brands, &catalog.categories] {
        labels.table.verify_sorted(a)?;
    }
    let ids = items
        .clone()
        .map(|i| catalog.id(i))
        .collect::<Result<Vec<_>>>()?;
    if ids_digest(ids.into_iter()) != catalog.ids_digest {
        return Err(catalog.corrupt(
            "meta",
            "`ids_digest` is not the digest of the ids".to_owned(),
        ));
    }

    let item_tags = items.map(|i| catalog.tags(i)).collect::<Result<Vec<_>>>()?;
    if let Some(i) = item_tags
        .iter()
        .position(|tags| tags.windows(2).any(|w| w[0] >= w[1]))
    {
        return Err(catalog.corrupt("itag", format!("the tags of item {i} do not ascend")));
    }
    catalog.tag_item_rows.verify(a)?;
    let (starts, tag_items) = transpose(item_tags.iter().copied(), catalog.tags.count);
    for tag in 0..catalog.tags.count as u32 {
        let expected = starts[tag as usize] as usize..starts[tag as usize + 1] as usize;
        if catalog.tagged(tag)? != &tag_items[expected] {
            let reason = format!("the items of tag {tag} are not those that have it");
            return Err(catalog.corrupt("tagi", reason));
        }
    }

    verify_codes(catalog, "brand", &catalog.brand, &catalog.brands)?;
    verify_codes(catalog, "category", &catalog.category, &catalog.categories)?;
    if let Some(i) = a.slice(&catalog.price).iter().position(|p| p.is_infinite()) {
        return Err(catalog.corrupt("price", format!("the price of item {i} is infinite")));
    }
    if let Some(i) = a
        .slice(&catalog.available)
        .iter()
        .position(|flag| *flag > 1)
    {
        return Err(catalog.corrupt("avail", format!("the flag of item {i} is not 0 or 1")));
    }
    if a.slice(&catalog.newest) != newest_first(a.slice(&catalog.created)) {
        return Err(catalog.corrupt("newest", "not the order of the creation times".to_owned()));
    }
    Ok(())
}

fn verify_codes(
    catalog: &Catalog,
    name: &str,
    codes: &Section<u32>,
    labels: &Labels,
) -> Result<()> {
    let codes = catalog.artifact.slice(codes);
    match codes
        .iter()
        .position(|c| *c != NONE && *c as usize >= labels.count)
    {
        Some(i) => Err(catalog.corrupt(name, format!("item {i} has unknown code {}", codes[i]))),
        None => Ok(()),
    }
}
