//! Oracle's own clients of OCI Streaming, pinned, for tests.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::Project;
use crate::npm::{self, Packages};
use crate::python::{self, Environment};

/// The Python SDK and the CLI, which is built on it, with all that they depend on: `pip freeze`
/// after installing the two.
const PYTHON: [&str; 34] = [
    "oci==2.189.0",
    "oci-cli==3.95.1",
    "aiohappyeyeballs==2.7.1",
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "arrow==1.4.0",
    "asn1crypto==1.5.1",
    "attrs==26.1.0",
    "certifi==2025.11.12",
    "cffi==2.1.1",
    "circuitbreaker==2.1.3",
    "click==8.4.2",
    "crc32c==2.8",
    "cryptography==50.0.2",
    "frozenlist==1.8.0",
    "idna==3.20",
    "jmespath==1.0.1",
    "multidict==7.2.1",
    "prompt-toolkit==3.0.43",
    "propcache==0.5.4",
    "pycparser==3.12",
    "PyJWT==2.15.1",
    "pyOpenSSL==26.4.0",
    "python-dateutil==2.9.0.post0",
    "python-pkcs11==0.9.4",
    "pytz==2026.2",
    "PyYAML==6.0.2",
    "six==1.17.0",
    "terminaltables==3.1.10",
    "typing_extensions==4.16.0",
    "tzdata==2026.6",
    "urllib3==2.8.0",
    "wcwidth==0.9.4",
    "yarl==1.25.1",
];

/// Returns a Python with Oracle's SDK (`oci`). The SDK is installed if that was not done before.
///
/// # Errors
/// When there is no Python 3, or the packages can't be installed.
pub fn python_sdk(project: &Project) -> Result<PathBuf> {
    python::environment(
        project,
        Environment {
            name: "Oracle's Python SDK and CLI",
            folder: "oci-clients",
            requirements: &PYTHON,
        },
    )
}

/// Returns Oracle's command line, `oci`. It is installed if that was not done before.
///
/// # Errors
/// The same as [`python_sdk`].
pub fn cli(project: &Project) -> Result<PathBuf> {
    let python = python_sdk(project)?;
    let folder = python.parent().context("a program has a folder")?;
    Ok(folder.join("oci"))
}

/// Returns Node with Oracle's TypeScript SDK (`oci-streaming`, `oci-common`). The SDK is installed
/// if that was not done before.
///
/// # Errors
/// When there is no Node or npm, or the packages can't be installed.
pub fn typescript_sdk(project: &Project) -> Result<npm::Installed> {
    npm::install(
        project,
        Packages {
            name: "Oracle's TypeScript SDK",
            folder: "oci-typescript",
            manifest: "verification/conformance/clients/typescript",
        },
    )
}
