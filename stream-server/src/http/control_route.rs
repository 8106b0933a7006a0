//! The operations of the control plane.

/// An operation of the control plane on the stream, pool or work request with this id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    CreateStream,
    ListStreams,
    GetStream(String),
    UpdateStream(String),
    DeleteStream(String),
    ChangeStreamCompartment(String),
    CreatePool,
    ListPools,
    GetPool(String),
    UpdatePool(String),
    DeletePool(String),
    ChangePoolCompartment(String),
    ListWorkRequests,
    GetWorkRequest(String),
    WorkRequestErrors(String),
    WorkRequestLogs(String),
}

impl Control {
    /// Returns OCI's name of the operation.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Self::CreateStream => "CreateStream",
            Self::ListStreams => "ListStreams",
            Self::GetStream(_) => "GetStream",
            Self::UpdateStream(_) => "UpdateStream",
            Self::DeleteStream(_) => "DeleteStream",
            Self::ChangeStreamCompartment(_) => "ChangeStreamCompartment",
            Self::CreatePool => "CreateStreamPool",
            Self::ListPools => "ListStreamPools",
            Self::GetPool(_) => "GetStreamPool",
            Self::UpdatePool(_) => "UpdateStreamPool",
            Self::DeletePool(_) => "DeleteStreamPool",
            Self::ChangePoolCompartment(_) => "ChangeStreamPoolCompartment",
            Self::ListWorkRequests => "ListWorkRequests",
            Self::GetWorkRequest(_) => "GetWorkRequest",
            Self::WorkRequestErrors(_) => "ListWorkRequestErrors",
            Self::WorkRequestLogs(_) => "ListWorkRequestLogs",
        }
    }

    /// Returns the id of the stream that it is about, if it is about one.
    pub(super) fn stream(&self) -> Option<&str> {
        match self {
            Self::GetStream(id)
            | Self::UpdateStream(id)
            | Self::DeleteStream(id)
            | Self::ChangeStreamCompartment(id) => Some(id),
            Self::CreateStream
            | Self::ListStreams
            | Self::CreatePool
            | Self::ListPools
            | Self::GetPool(_)
            | Self::UpdatePool(_)
            | Self::DeletePool(_)
            | Self::ChangePoolCompartment(_)
            | Self::ListWorkRequests
            | Self::GetWorkRequest(_)
            | Self::WorkRequestErrors(_)
            | Self::WorkRequestLogs(_) => None,
        }
    }
}
