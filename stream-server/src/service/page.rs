//! Lists, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::api_error::ApiError;
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
    /// The token of the page before (`opc-next-page`).
    pub page: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The token of the next page, if there is one.
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
    /// Only those in this state. Everything here is ACTIVE until it is gone.
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

/// The last item of a page, with everything that it may be sorted by. The item may be gone when the
/// next page is asked for, for example if the client deletes what it lists.
#[derive(Serialize, Deserialize)]
struct Last {
    id: String,
    name: String,
    created_ms: u64,
}

impl Last {
    fn of(item: &impl Listed) -> Self {
        Self {
            id: item.id().to_owned(),
            name: item.name().to_owned(),
            created_ms: item.created().0,
        }
    }

    fn encode(&self) -> Option<String> {
        let json = serde_json::to_vec(self).ok()?;
        Some(URL_SAFE_NO_PAD.encode(json))
    }

    fn decode(token: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(token).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// Returns where the next page starts. Items that were created in the same moment as an item
    /// that is gone may come twice, but are never left out.
    fn next_start(&self, items: &[impl Listed], paging: &Paging) -> usize {
        if let Some(place) = items.iter().position(|item| item.id() == self.id) {
            return place.saturating_add(1);
        }
        let is_later = |own: &dyn Listed| {
            let order = match paging.by_name {
                true => (own.name(), own.id()).cmp(&(self.name.as_str(), self.id.as_str())),
                false => own.created().0.cmp(&self.created_ms),
            };
            let order = if paging.descending {
                order.reverse()
            } else {
                order
            };
            order.is_ge()
        };
        items.iter().take_while(|item| !is_later(*item)).count()
    }
}

/// Filters, sorts and cuts.
pub(super) fn page<T: Listed>(
    mut items: Vec<T>,
    filter: &Filter,
    paging: &Paging,
) -> Result<Page<T>, ApiError> {
    items.retain(|item| filter.shows(item));
    items.sort_by(|a, b| match paging.by_name {
        true => (a.name(), a.id()).cmp(&(b.name(), b.id())),
        // Streams of one moment stay in the order in which they were created.
        false => a.created().cmp(&b.created()),
    });
    if paging.descending {
        items.reverse();
    }
    let start = match &paging.page {
        None => 0,
        Some(token) => {
            let unknown = || ApiError::invalid_parameter("There is no such page, start anew");
            let last = Last::decode(token).ok_or_else(unknown)?;
            last.next_start(&items, paging)
        }
    };
    let more = items.len() > start.saturating_add(paging.limit);
    let items: Vec<T> = items.into_iter().skip(start).take(paging.limit).collect();
    let last = items.last().filter(|_| more);
    let next = last.and_then(|item| Last::of(item).encode());
    Ok(Page { items, next })
}
