//! Which gateway of a control plane is meant.

use sluice::config::{Section, TextForm};

use super::read::{name, port, refuse_control};

/// Labels that choose a gateway's pods.
const LABELS_MAX: usize = 16;

/// Which gateway of Istio.
#[derive(Clone, Debug)]
pub(crate) struct Istio {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) port: u64,
    pub(crate) routes: Option<String>,
}

/// Which gateway of Envoy Gateway.
#[derive(Clone, Debug)]
pub(crate) struct EnvoyGateway {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) gateway: String,
    pub(crate) listener: String,
    pub(crate) port: u64,
    pub(crate) is_second_scheme: bool,
    pub(crate) image: Option<String>,
    pub(crate) pull_secret: Option<String>,
}

impl Istio {
    pub(super) fn read(istio: &mut Section<'_>) -> Self {
        let name_of = name(istio, "name", Some("sluice"), "Name of the EnvoyFilter.");
        let meaning = "Its namespace: that of the gateway's pods.";
        let namespace = name(istio, "namespace", Some("istio-system"), meaning);
        let labels = istio.texts(
            "labels",
            LABELS_MAX,
            &["istio=ingressgateway"],
            "Labels of the gateway's pods. With the Gateway API: \
             gateway.networking.k8s.io/gateway-name=NAME.",
        );
        istio.declare_form(TextForm::Pattern("^[^=]+=[^=]*$"));
        let is_part = |part: &str| {
            part.chars()
                .all(|one| one.is_ascii_alphanumeric() || "-._/".contains(one))
        };
        let pair = |label: &String| {
            let (name, value) = label.split_once('=')?;
            (!name.is_empty() && is_part(name) && is_part(value))
                .then(|| (name.to_owned(), value.to_owned()))
        };
        let pairs: Vec<_> = labels.iter().filter_map(pair).collect();
        if pairs.len() < labels.len() {
            istio.refuse(
                "labels",
                "must be labels such as istio=ingressgateway".to_owned(),
            );
        }
        if labels.is_empty() {
            let message = "must have a label: without any, all of the namespace's pods are changed";
            istio.refuse("labels", message.to_owned());
        }
        let port = port(
            istio,
            "port",
            8080,
            "Port at which the gateway's pods listen: the targetPort of its Service.",
        );
        let routes = istio.optional_text(
            "routes",
            "Name of Istio's routes at that port. Without it: http.PORT, which is right for HTTP. \
             For HTTPS: https.SERVICEPORT.PORTNAME.GATEWAY.NAMESPACE.",
        );
        refuse_control(istio, "routes", routes.as_deref());
        Self {
            name: name_of,
            namespace,
            labels: pairs,
            port,
            routes,
        }
    }
}

impl EnvoyGateway {
    pub(super) fn read(gateway: &mut Section<'_>) -> Self {
        let meaning = "Name of the EnvoyPatchPolicy, the EnvoyProxy and the ClientTrafficPolicy.";
        let name_of = name(gateway, "name", Some("sluice"), meaning);
        let namespace = name(
            gateway,
            "namespace",
            Some("default"),
            "The Gateway's namespace.",
        );
        let of = name(gateway, "gateway", Some("eg"), "The Gateway's name.");
        let listener = name(
            gateway,
            "listener",
            Some("http"),
            "Name of its listener, an HTTP one.",
        );
        let port = port(gateway, "port", 80, "That listener's port.");
        let scheme = gateway.text(
            "xdsNames",
            "v1",
            "How Envoy Gateway names listeners: `v1`, after the Gateway, the default up to 1.9; \
             `v2`, after protocol and port (XDSNameSchemeV2), the default from 1.10.",
        );
        gateway.declare_form(TextForm::OneOf(vec!["v1", "v2"]));
        if !["v1", "v2"].contains(&scheme.as_str()) {
            gateway.refuse("xdsNames", "must be v1 or v2".to_owned());
        }
        let image = gateway.optional_text(
            "image",
            "The filter as an OCI image, such as registry.example/sluice-filter@sha256:…, which \
             Envoy Gateway fetches and serves. Without it the filter is a file, at `module`.",
        );
        refuse_control(gateway, "image", image.as_deref());
        let pull_secret = gateway.optional_text(
            "pullSecret",
            "Name of a Secret in that namespace with the registry's credentials.",
        );
        refuse_control(gateway, "pullSecret", pull_secret.as_deref());
        if pull_secret.is_some() && image.is_none() {
            let message = "is for an image: give envoyGateway.image too, or leave it out";
            gateway.refuse("pullSecret", message.to_owned());
        }
        Self {
            name: name_of,
            namespace,
            image,
            pull_secret,
            gateway: of,
            listener,
            port,
            is_second_scheme: scheme == "v2",
        }
    }
}
