//! Header fields as a call record has them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeTuple, Serializer};
use serde::{Deserialize, Serialize};

use crate::http::Fields;
use crate::record::error::RecordError;
use crate::record::sealed::SealedValue;

/// Fields as a list of `[name, value]`. A value that isn't UTF-8 is `{"base64": "…"}`, a sealed one
/// is `{"sealed": "…", "key": "…"}`.
#[derive(Default)]
pub(crate) struct WireFields<'a> {
    pub(crate) fields: Cow<'a, Fields>,
    /// The sealed values, in the order of their places.
    pub(crate) sealed: Cow<'a, [SealedValue]>,
}

impl<'a> WireFields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn new(fields: &'a Fields, sealed: &'a [SealedValue]) -> Self {
        Self {
            fields: Cow::Borrowed(fields),
            sealed: Cow::Borrowed(sealed),
        }
    }

    /// Returns the fields, and the sealed values among them.
    ///
    /// # Errors
    /// What is wrong with a sealed value.
    pub(crate) fn into_parts(
        self,
        member: &str,
    ) -> Result<(Fields, Vec<SealedValue>), RecordError> {
        for value in self.sealed.iter() {
            let place = value.index;
            let wrong = |problem| RecordError(format!("{member}[{place}]: {problem}"));
            value.check().map_err(wrong)?;
        }
        Ok((self.fields.into_owned(), self.sealed.into_owned()))
    }
}

impl Serialize for WireFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.fields.len()))?;
        let mut sealed = self.sealed.iter().peekable();
        for (index, (name, value)) in self.fields.iter().enumerate() {
            match sealed.next_if(|sealed| sealed.index == index) {
                Some(sealed) => list.serialize_element(&(name, WireSealed::from(sealed)))?,
                None => list.serialize_element(&WireField(name, value))?,
            }
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
            type Value = WireFields<'static>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of [name, value]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::with_capacity(USUAL_FIELDS);
                let mut sealed = Vec::new();
                while let Some((mut name, value)) = list.next_element::<(String, _)>()? {
                    name.make_ascii_lowercase();
                    let value = match value {
                        WireValue::Plain(value) => value,
                        WireValue::Sealed { key, bytes } => {
                            let index = fields.len();
                            sealed.push(SealedValue { index, key, bytes });
                            Vec::new()
                        }
                    };
                    fields.push((name, value));
                }
                Ok(WireFields {
                    fields: Cow::Owned(fields),
                    sealed: Cow::Owned(sealed),
                })
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

/// As many fields as most requests have. More are no problem.
const USUAL_FIELDS: usize = 16;

/// A field's value: text, `{"base64": "…"}`, or `{"sealed": "…", "key": "…"}`.
enum WireValue {
    Plain(Vec<u8>),
    Sealed { key: String, bytes: Vec<u8> },
}

impl<'de> Deserialize<'de> for WireValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrBytes;
        impl<'de> Visitor<'de> for TextOrBytes {
            type Value = WireValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(r#"text, or {"base64": "…"}"#)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<WireValue, E> {
                Ok(WireValue::Plain(text.as_bytes().to_vec()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<WireValue, E> {
                Ok(WireValue::Plain(text.into_bytes()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<WireValue, A::Error> {
                let decode = |text: Cow<'_, str>| {
                    let bytes = BASE64.decode(text.as_bytes());
                    bytes.map_err(|error| A::Error::custom(format!("not standard base64: {error}")))
                };
                let bytes = Bytes::deserialize(MapAccessDeserializer::new(map))?;
                match (bytes.base64, bytes.sealed, bytes.key) {
                    (Some(base64), None, None) => Ok(WireValue::Plain(decode(base64)?)),
                    (None, Some(sealed), Some(key)) => Ok(WireValue::Sealed {
                        key: key.into_owned(),
                        bytes: decode(sealed)?,
                    }),
                    _ => Err(A::Error::custom("give base64, or sealed and key")),
                }
            }
        }
        deserializer.deserialize_any(TextOrBytes)
    }
}

#[derive(Deserialize)]
struct Bytes<'a> {
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sealed: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct WireSealed<'a> {
    sealed: String,
    key: &'a str,
}

impl<'a> From<&'a SealedValue> for WireSealed<'a> {
    fn from(value: &'a SealedValue) -> Self {
        Self {
            sealed: BASE64.encode(&value.bytes),
            key: &value.key,
        }
    }
}
