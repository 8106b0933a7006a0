//! What a cluster of brokers is like.

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its brokers, 1 to 9.
    pub brokers: usize,
    /// Settings of every broker beside the usual ones, which they replace.
    pub properties: Vec<(String, String)>,
    /// Arguments for Java beside the usual ones.
    pub java: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            brokers: 3,
            properties: Vec::new(),
            java: Vec::new(),
        }
    }
}
