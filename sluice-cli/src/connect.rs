//! Makes a client of the Stream from the options: where it is, whom to trust, and who signs.

use crate::arguments::Common;
use crate::files::expand_home;
use crate::identity::{Credentials, Environment};
use crate::stream::{Endpoint, StreamClient, read_authorities};

/// The local stream server.
const ENDPOINT_DEFAULT: &str = "http://127.0.0.1:8090";

/// Returns a client by the options; nothing is sent yet.
///
/// # Errors
/// Which option to change.
pub fn client(common: &Common, environment: Environment<'_>) -> Result<StreamClient, String> {
    let given = common.endpoint.as_deref();
    client_of(
        given,
        common.ca_file.as_deref(),
        &common.credentials,
        environment,
    )
}

/// Returns a client of an endpoint; nothing is sent yet. `ca_file` names the certificates to trust
/// instead of the public ones.
///
/// # Errors
/// Which option to change.
pub fn client_of(
    endpoint_given: Option<&str>,
    ca_file: Option<&str>,
    credentials: &Credentials,
    environment: Environment<'_>,
) -> Result<StreamClient, String> {
    let given = endpoint_given.map(Endpoint::parse).transpose();
    let given = given.map_err(|problem| format!("--endpoint: {problem}"))?;
    // Oracle's service is behind TLS, and only Oracle's service wants signatures.
    let signs = credentials.are_given() || given.as_ref().is_some_and(Endpoint::is_tls);
    let identity = if signs {
        Some(credentials.identity(environment)?)
    } else {
        None
    };
    let region = identity
        .as_ref()
        .and_then(|identity| identity.region.as_deref());
    let endpoint = endpoint(given, region)?;
    if identity.is_some() && !endpoint.is_tls() && !endpoint.is_loopback() {
        return Err(format!(
            "{} is not secure: whoever sees a signed request can publish on that stream for \
             minutes. Give an https:// endpoint, or leave out the options for signing",
            endpoint.as_str()
        ));
    }
    let authorities = match ca_file {
        Some(_) if !endpoint.is_tls() => {
            return Err("--ca-file is for https endpoints only: leave it out".to_owned());
        }
        Some(file) => Some(
            read_authorities(&expand_home(file))
                .map_err(|problem| format!("--ca-file: {problem}"))?,
        ),
        None => None,
    };
    let signing = identity.map(|identity| identity.signing);
    Ok(StreamClient::new(endpoint, signing, authorities))
}

/// Returns the given endpoint, else Oracle's service in a region, else the local server.
fn endpoint(given: Option<Endpoint>, region: Option<&str>) -> Result<Endpoint, String> {
    match (given, region) {
        (Some(endpoint), _) => Ok(endpoint),
        (None, Some(region)) => Endpoint::of_region(region),
        (None, None) => Endpoint::parse(ENDPOINT_DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_without_an_endpoint_leads_to_oracles_service() {
        let of = |given: Option<&str>, region| {
            let given = given.map(|given| Endpoint::parse(given).unwrap());
            endpoint(given, region).map(|endpoint| endpoint.as_str().to_owned())
        };
        let oracle = "https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com";
        assert_eq!(of(None, Some("eu-frankfurt-1")), Ok(oracle.to_owned()));
        assert_eq!(of(None, None), Ok(ENDPOINT_DEFAULT.to_owned()));
        assert_eq!(of(Some("http://h"), Some("x")), Ok("http://h".to_owned()));
        assert!(of(None, Some("FRA")).is_err_and(|problem| problem.contains("--endpoint")));
    }
}
