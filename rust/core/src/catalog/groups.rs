//! The items behind a tag, a brand or a category.

use super::Catalog;
use crate::Ordinal;
use crate::error::Result;

/// What items can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// A tag.
    Tag,
    /// The brand.
    Brand,
    /// The category.
    Category,
}

impl Catalog {
    /// The items of each (attribute, name), ascending; empty for a name that the catalog does not know.
    ///
    /// Reads the brands and the categories once, however many are asked for.
    pub fn items_behind(&self, groups: &[(Attribute, &str)]) -> Result<Vec<Vec<Ordinal>>> {
        let mut found = vec![Vec::new(); groups.len()];
        let mut brands = vec![Vec::new(); self.brand_count()];
        let mut categories = vec![Vec::new(); self.category_count()];
        for (index, (attribute, name)) in groups.iter().enumerate() {
            match attribute {
                Attribute::Tag => {
                    if let Some(code) = self.find_tag(name)? {
                        let items = self.tagged(code)?;
                        found[index]
                            .extend(items.iter().filter(|item| (**item as usize) < self.len()));
                    }
                }
                Attribute::Brand => enlist(&mut brands, self.find_brand(name)?, index),
                Attribute::Category => enlist(&mut categories, self.find_category(name)?, index),
            }
        }
        if brands.iter().chain(&categories).all(Vec::is_empty) {
            return Ok(found);
        }
        for item in 0..self.len() as Ordinal {
            for (lists, code) in [
                (&brands, self.brand(item)),
                (&categories, self.category(item)),
            ] {
                for index in lists.get(code as usize).into_iter().flatten() {
                    found[*index].push(item);
                }
            }
        }
        Ok(found)
    }
}

/// Notes that the group at `index` asks for the items with `code`.
fn enlist(asked: &mut [Vec<usize>], code: Option<u32>, index: usize) {
    if let Some(list) = code.and_then(|code| asked.get_mut(code as usize)) {
        list.push(index);
    }
}
