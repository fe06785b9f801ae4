//! Pages of listings.
//!
//! **Invariants.** A listing that nobody changes is given whole, each item once, whatever the page
//! size.
//!
//! **Must not know:** what is listed, how a marker looks to a client.

/// Which part of a listing is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The last key that was seen, as `next` gave it. Any text is accepted.
    pub marker: Option<String>,
    /// At most this many items.
    pub max_items: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self { marker: None, max_items: model::limits::MAX_ITEMS_DEFAULT }
    }
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items, sorted by key.
    pub items: Vec<T>,
    /// The marker of the next page, if there is one.
    pub next: Option<String>,
}

impl Page {
    /// Cuts the page out of `(key, item)` pairs; keys differ. `max_items` of 0 counts as 1, since a
    /// page without items could not name the next.
    pub(crate) fn cut<T>(&self, items: impl IntoIterator<Item = (String, T)>) -> Listing<T> {
        let mut items: Vec<(String, T)> = items
            .into_iter()
            .filter(|(key, _)| self.marker.as_ref().is_none_or(|marker| key > marker))
            .collect();
        items.sort_by(|(left, _), (right, _)| left.cmp(right));
        let max = self.max_items.max(1);
        let more = items.len() > max;
        items.truncate(max);
        let next = if more { items.last().map(|(key, _)| key.clone()) } else { None };
        Listing { items: items.into_iter().map(|(_, item)| item).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_size_gives_each_item_once_in_order() {
        for max_items in 0..=6 {
            let mut page = Page { marker: None, max_items };
            let mut seen = Vec::new();
            loop {
                let listing = page.cut([3, 1, 4, 0, 2].map(|n| (format!("k{n}"), n)));
                assert!(listing.items.len() <= max_items.max(1));
                seen.extend(listing.items);
                page.marker = listing.next;
                if page.marker.is_none() {
                    break;
                }
            }
            assert_eq!(seen, [0, 1, 2, 3, 4]);
        }
    }
}
