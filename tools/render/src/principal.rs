//! What a principal of OCI asks besides the Stream, and how Envoy reaches it.

use serde_json::Value;
use sluice::config::Problem;
use sluice::stream::signing::PrincipalKind;

use crate::form::{EnvoyVersion, Form};
use crate::origin::Origin;
use crate::settings::Settings;

/// A principal that signs, with what it asks.
#[derive(Clone, Debug)]
pub(crate) struct Principal {
    pub(crate) kind: PrincipalKind,
    /// The service that gives tokens; a resource has them as files.
    pub(crate) auth: Option<Origin>,
}

impl Principal {
    /// The clusters that it needs, by the names of their pieces.
    pub(crate) const fn clusters(&self) -> &'static [&'static str] {
        match self.kind {
            PrincipalKind::Instance => &["oci-metadata", "oci-auth"],
            PrincipalKind::Resource => &["oci-files"],
            PrincipalKind::Workload => &["oci-auth", "oci-files"],
        }
    }

    /// The listeners that it needs.
    pub(crate) const fn listeners(&self) -> &'static [&'static str] {
        match self.kind {
            PrincipalKind::Instance => &[],
            PrincipalKind::Resource | PrincipalKind::Workload => &["oci-files"],
        }
    }
}

/// The kind that an input names, whatever else is wrong with it.
pub(crate) fn kind_of(input: &Value) -> Option<PrincipalKind> {
    let name = input.pointer("/stream/signing/principal")?.as_str()?;
    let kinds = [
        PrincipalKind::Instance,
        PrincipalKind::Resource,
        PrincipalKind::Workload,
    ];
    kinds.into_iter().find(|kind| kind.name() == name)
}

/// What is wrong with a principal of this kind, or with what is said of one that isn't there.
pub(crate) fn check(kind: Option<PrincipalKind>, settings: &Settings, form: Form) -> Vec<Problem> {
    const PRINCIPAL: &str = "$.stream.signing.principal";
    const FOLDER: &str = "$.resourcePrincipal.folder";
    let mut problems = Vec::new();
    let mut refuse = |path: &str, message: String| {
        let path = path.to_owned();
        problems.push(Problem { path, message });
    };
    let is_resource = kind == Some(PrincipalKind::Resource);
    if is_resource && !form.host.is_bootstrap() {
        let message = "resource is for what OCI runs itself, such as container instances: a pod \
                       is a workload";
        refuse(PRINCIPAL, message.to_owned());
    } else if is_resource && !form.envoy.has_file_server() {
        let message = format!(
            "resource needs Envoy {} or newer, and this is for {}: an older one can't serve \
             files that are written anew",
            EnvoyVersion::FILE_SERVER,
            form.envoy
        );
        refuse(PRINCIPAL, message);
    }
    match (&settings.resource_folder, is_resource) {
        (None, true) => {
            let message = "is required for the principal resource: the folder of the files that \
                           OCI_RESOURCE_PRINCIPAL_RPST and OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM name";
            refuse(FOLDER, message.to_owned());
        }
        (Some(_), false) => {
            let message = "means something with stream.signing.principal resource only";
            refuse(FOLDER, message.to_owned());
        }
        (None, false) | (Some(_), true) => {}
    }
    let has_files = matches!(
        kind,
        Some(PrincipalKind::Resource | PrincipalKind::Workload)
    );
    if has_files && settings.loopback.folder.is_none() {
        let message = "is required for this principal: the folder of the socket by which the \
                       filter gets its files, such as /run/sluice";
        refuse("$.loopback.pipes", message.to_owned());
    }
    problems
}
