//! The fields of a callout.

use sluice::engine::Callout;

/// Returns a field of a callout as text.
#[must_use]
pub fn field(callout: &Callout, name: &str) -> String {
    let mut fields = callout.request.headers.iter();
    let found = fields.find(|(field, _)| field == name);
    found.map_or_else(String::new, |(_, v)| {
        String::from_utf8_lossy(v).into_owned()
    })
}
