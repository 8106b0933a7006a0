//! The messages of `envoy.service.ext_proc.v3`, as far as this processor reads or writes them.
//! Members of a `oneof` are optional fields here, which is the same on the wire.

/// What Envoy shows.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ProcessingRequest {
    #[prost(message, optional, tag = "2")]
    pub(super) request_headers: Option<Empty>,
    #[prost(message, optional, tag = "3")]
    pub(super) response_headers: Option<Empty>,
    #[prost(message, optional, tag = "4")]
    pub(super) request_body: Option<Body>,
    #[prost(message, optional, tag = "5")]
    pub(super) response_body: Option<Body>,
    #[prost(message, optional, tag = "6")]
    pub(super) request_trailers: Option<Empty>,
    #[prost(message, optional, tag = "7")]
    pub(super) response_trailers: Option<Empty>,
}

/// What Envoy shall do.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct ProcessingResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) request_headers: Option<Empty>,
    #[prost(message, optional, tag = "2")]
    pub(super) response_headers: Option<Empty>,
    #[prost(message, optional, tag = "3")]
    pub(super) request_body: Option<BodyResponse>,
    #[prost(message, optional, tag = "4")]
    pub(super) response_body: Option<BodyResponse>,
    #[prost(message, optional, tag = "5")]
    pub(super) request_trailers: Option<Empty>,
    #[prost(message, optional, tag = "6")]
    pub(super) response_trailers: Option<Empty>,
}

/// A message whose members don't matter here.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Empty {}

/// A part of a body: `HttpBody`, and `StreamedBodyResponse` too.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Body {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: bytes::Bytes,
    #[prost(bool, tag = "2")]
    pub(super) end_of_stream: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct BodyResponse {
    #[prost(message, optional, tag = "1")]
    response: Option<CommonResponse>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct CommonResponse {
    #[prost(message, optional, tag = "3")]
    body_mutation: Option<BodyMutation>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct BodyMutation {
    #[prost(message, optional, tag = "3")]
    streamed_response: Option<Body>,
}

impl ProcessingRequest {
    /// Lets it pass as it is.
    pub(super) fn echo(self) -> ProcessingResponse {
        ProcessingResponse {
            request_headers: self.request_headers,
            response_headers: self.response_headers,
            request_body: self.request_body.map(BodyResponse::echo),
            response_body: self.response_body.map(BodyResponse::echo),
            request_trailers: self.request_trailers,
            response_trailers: self.response_trailers,
        }
    }
}

impl BodyResponse {
    fn echo(part: Body) -> Self {
        let streamed_response = Some(part);
        let body_mutation = Some(BodyMutation { streamed_response });
        let response = Some(CommonResponse { body_mutation });
        Self { response }
    }
}
