//! Reading from addresses that are not ours.

/// Reads what is at an address. Certificates of SNS and confirmations of its subscriptions are all that is read so far, and only at the
/// hosts that `systems::sns` lets through.
///
/// Called on a thread that may wait. It MUST check the other side's certificate, MUST NOT follow redirects, and MUST give up in the end.
pub trait Fetch: std::fmt::Debug + Send + Sync {
    /// The body of a 200, at most `most` bytes.
    ///
    /// # Errors
    /// A sentence for the log.
    fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, String>;
}
