//! Header fields as they stand in a call record.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
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
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of [name, value]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::with_capacity(USUAL_FIELDS);
                while let Some((mut name, WireValue(value))) = list.next_element::<(String, _)>()? {
                    name.make_ascii_lowercase();
                    fields.push((name, value));
                }
                Ok(fields)
            }
        }
        let fields = deserializer.deserialize_seq(Pairs)?;
        Ok(WireFields(Cow::Owned(fields)))
    }
}

/// As many fields as most requests have; more are no problem.
const USUAL_FIELDS: usize = 16;

/// A field's value: text, or `{"base64": "…"}`.
struct WireValue(Vec<u8>);

impl<'de> Deserialize<'de> for WireValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBytes;
        impl<'de> Visitor<'de> for TextOrBytes {
            type Value = WireValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(r#"text, or {"base64": "…"}"#)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WireValue, E> {
                Ok(WireValue(text.as_bytes().to_vec()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<WireValue, E> {
                Ok(WireValue(text.into_bytes()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WireValue, A::Error> {
                let Bytes { base64 } = Bytes::deserialize(MapAccessDeserializer::new(map))?;
                let bytes = BASE64.decode(base64.as_bytes());
                let bytes = bytes
                    .map_err(|error| A::Error::custom(format!("no standard base64: {error}")))?;
                Ok(WireValue(bytes))
            }
        }
        deserializer.deserialize_any(TextOrBytes)
    }
}

#[derive(Deserialize)]
struct Bytes<'a> {
    #[serde(borrow)]
    base64: Cow<'a, str>,
}
