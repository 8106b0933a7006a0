//! Inspects a built filter: its imports and its size.

use anyhow::{Context, Result, bail};
use wasmparser::{Parser, Payload};

/// The functions of WASI that Envoy offers and that Rust's standard library uses. Envoy would
/// refuse a file with any other when it starts.
const WASI_FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "random_get",
    "sched_yield",
];

/// What is in a built filter.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its size in bytes.
    pub size_bytes: usize,
    /// What it imports, as `module.name`, in order.
    pub imports: Vec<String>,
}

/// Reads the file and refuses it if its host could not load it.
///
/// # Errors
/// When it is not wasm, exports no proxy-wasm ABI or imports what Envoy does not have.
pub fn inspect(bytes: &[u8]) -> Result<Inspection> {
    let mut imports = Vec::new();
    let mut has_abi = false;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.context("the built file is not a wasm module")?;
        if let Payload::ImportSection(section) = &payload {
            for import in section.clone().into_imports() {
                let import = import?;
                imports.push(check_import(import.module, import.name)?);
            }
        }
        if let Payload::ExportSection(section) = &payload {
            for export in section.clone() {
                has_abi |= export?.name.starts_with("proxy_abi_version_");
            }
        }
    }
    if !has_abi {
        bail!("the built file exports no proxy_abi_version_*: it is not a proxy-wasm filter");
    }
    imports.sort();
    Ok(Inspection {
        size_bytes: bytes.len(),
        imports,
    })
}

fn check_import(module: &str, name: &str) -> Result<String> {
    let is_known = match module {
        "env" => name.starts_with("proxy_"),
        "wasi_snapshot_preview1" => WASI_FUNCTIONS.contains(&name),
        _ => false,
    };
    if !is_known {
        bail!("the filter imports {module}.{name}, which Envoy does not offer");
    }
    Ok(format!("{module}.{name}"))
}

/// Returns whether the file contains the bytes.
#[must_use]
pub fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_envoy_offers_may_be_imported() {
        assert!(check_import("env", "proxy_log").is_ok());
        assert!(check_import("wasi_snapshot_preview1", "random_get").is_ok());
        assert!(check_import("wasi_snapshot_preview1", "sock_accept").is_err());
        assert!(check_import("env", "memcpy").is_err());
        assert!(check_import("other", "proxy_log").is_err());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        assert!(inspect(b"no wasm").is_err());
        let empty_module = b"\0asm\x01\0\0\0";
        assert!(
            inspect(empty_module)
                .unwrap_err()
                .to_string()
                .contains("proxy_abi_version")
        );
    }

    #[test]
    fn a_marker_is_found_anywhere() {
        assert!(contains(b"abc", b"bc"));
        assert!(!contains(b"abc", b"cd"));
    }
}
