//! Lists, page by page.

use crate::refusal::Refusal;
use crate::time::TimeMs;

/// How a list is sorted and cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paging {
    /// Sort by name instead of by time of creation.
    pub by_name: bool,
    /// Sort in descending order.
    pub descending: bool,
    /// At most so many.
    pub limit: usize,
    /// What the page before said (`opc-next-page`).
    pub page: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// What to ask the next page with, if there is one.
    pub next: Option<String>,
}

/// What a list is sorted and filtered by.
pub(super) trait Listed {
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn created(&self) -> TimeMs;
}

/// What a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only the one with this id.
    pub id: Option<String>,
    /// Only the one with this name.
    pub name: Option<String>,
    /// Only those in this state; everything here is ACTIVE until it is gone.
    pub lifecycle_state: Option<String>,
}

impl Filter {
    fn shows(&self, item: &impl Listed) -> bool {
        let equal = |asked: &Option<String>, own: &str| asked.as_ref().is_none_or(|a| a == own);
        equal(&self.id, item.id())
            && equal(&self.name, item.name())
            && equal(&self.lifecycle_state, "ACTIVE")
    }
}

/// Filters, sorts and cuts.
pub(super) fn page<T: Listed>(
    mut items: Vec<T>,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<T>, Refusal> {
    items.retain(|item| filter.shows(item));
    items.sort_by(|a, b| match paging.by_name {
        true => (a.name(), a.id()).cmp(&(b.name(), b.id())),
        // Streams of one moment stay in the order in which they came.
        false => a.created().cmp(&b.created()),
    });
    if paging.descending {
        items.reverse();
    }
    let start = match &paging.page {
        None => 0,
        Some(last) => {
            let found = items.iter().position(|item| item.id() == last);
            let unknown = || Refusal::invalid_parameter("There is no such page, start anew");
            found.ok_or_else(unknown)?.saturating_add(1)
        }
    };
    let more = items.len() > start.saturating_add(paging.limit);
    let items: Vec<T> = items.into_iter().skip(start).take(paging.limit).collect();
    let last = items.last().filter(|_| more);
    let next = last.map(|item| item.id().to_owned());
    Ok(Page { items, next })
}
