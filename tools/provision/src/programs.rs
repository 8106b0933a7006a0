//! The programs of a set: found, installed or built.

use std::env;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::dist::{self, Variant};
use crate::envoy::Version;
use crate::progress::timed;
use crate::tools::Tools;
use crate::{Project, envoy};

/// Set it to `1` if everything is already built and the tests have to use just that.
pub const PREPARED: &str = "SLUICE_PREPARED";

/// Everything that must exist before a set can start.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Envoy.
    pub envoy: PathBuf,
    /// Its version, which decides what its configuration may have.
    pub envoy_version: Version,
    /// The project's own programs.
    pub tools: Tools,
    /// The built filter.
    pub filter: PathBuf,
}

impl Programs {
    /// Finds, installs or builds all of them.
    ///
    /// # Errors
    /// When one is missing; the message says how to get it.
    pub fn provide(project: &Project, variant: Variant) -> Result<Self> {
        let envoy = envoy::provide(project)?;
        let filter = timed("building the filter", || dist::build(project, variant))?.path;
        let tools = timed(
            "building the stream server, the demo function and sluice",
            || Tools::build(project),
        )?;
        Ok(Self {
            envoy_version: envoy::version(&envoy)?,
            envoy,
            tools,
            filter,
        })
    }

    /// Does the same for tests: once for each variant in a process, and without a build if
    /// [`PREPARED`] says that everything is built.
    ///
    /// # Errors
    /// When one is missing; the message says how to get it.
    pub fn for_tests(project: &Project, variant: Variant) -> Result<Self> {
        static PROVIDED: Mutex<Vec<(Variant, Programs)>> = Mutex::new(Vec::new());
        let mut provided = PROVIDED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, programs)) = provided.iter().find(|(known, _)| *known == variant) {
            return Ok(programs.clone());
        }
        let programs = if env::var(PREPARED).as_deref() == Ok("1") {
            let envoy = envoy::provide(project)?;
            Self {
                envoy_version: envoy::version(&envoy)?,
                envoy,
                tools: Tools::of(project),
                filter: variant.path(project),
            }
        } else {
            Self::provide(project, variant)?
        };
        provided.push((variant, programs.clone()));
        Ok(programs)
    }
}
