//! Header fields as they stand in a call record.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeTuple, Serializer};

use crate::http::Fields;

/// Fields as a list of `[name, value]`; a value that is no UTF-8 stands as `{"base64": "…"}`.
#[derive(Default)]
pub(super) struct WireFields<'a>(pub(super) Cow<'a, Fields>);

impl WireFields<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for WireFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            list.serialize_element(&WireField(name, value))?;
        }
        list.end()
    }
}

struct WireField<'a>(&'a str, &'a [u8]);

impl Serialize for WireField<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_tuple(2)?;
        pair.serialize_element(self.0)?;
        match std::str::from_utf8(self.1) {
            Ok(text) => pair.serialize_element(text)?,
            Err(_) => pair.serialize_element(&WireBytes(self.1))?,
        }
        pair.end()
    }
}

struct WireBytes<'a>(&'a [u8]);

impl Serialize for WireBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry("base64", &BASE64.encode(self.0))?;
        object.end()
    }
}

impl<'de> Deserialize<'de> for WireFields<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, WireValue<'de>)>::deserialize(deserializer)?;
        let fields = pairs.into_iter().map(|(mut name, value)| {
            name.make_ascii_lowercase();
            let value = match value {
                WireValue::Text(text) => text.into_owned().into_bytes(),
                WireValue::Bytes { base64 } => {
                    BASE64.decode(base64.as_bytes()).map_err(|error| {
                        D::Error::custom(format!("header {name}: no standard base64: {error}"))
                    })?
                }
            };
            Ok((name, value))
        });
        Ok(WireFields(Cow::Owned(
            fields.collect::<Result<Fields, D::Error>>()?,
        )))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireValue<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Bytes {
        #[serde(borrow)]
        base64: Cow<'a, str>,
    },
}
