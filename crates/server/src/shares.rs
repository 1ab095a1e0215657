//! How many of the connections one address may have, so that none has them all.
//!
//! Owns the count. Where an address has its share, the next connection is refused as one beyond all of them is ([`crate::connections`]).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The connections that each address has.
#[derive(Debug)]
pub(crate) struct Shares {
    each: usize,
    /// Whether it is of loopback too, where this machine's own programs and a proxy on it come from.
    of_loopback: bool,
    /// Addresses that many clients come from.
    proxies: Vec<IpAddr>,
    held: Held,
}

/// How many each address has that has any.
type Held = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One connection's part; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share(Option<(IpAddr, Held)>);

impl Shares {
    /// So many for `each` address where that is said, loopback among them; three quarters of `all` for any but loopback where it is not.
    /// Never of these proxies.
    pub(crate) fn new(all: usize, each: Option<usize>, proxies: Vec<IpAddr>) -> Shares {
        let share = each.unwrap_or((all / 4 * 3).max(1));
        Shares { each: share, of_loopback: each.is_some(), proxies, held: Arc::default() }
    }

    /// A part for one more connection from there; `None` where that address has its share.
    pub(crate) fn take(&self, from: IpAddr) -> Option<Share> {
        let from = from.to_canonical();
        if self.proxies.contains(&from) || (from.is_loopback() && !self.of_loopback) {
            return Some(Share(None));
        }
        let client = client(from);
        let mut held = self.held.lock();
        let count = held.entry(client).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Share(Some((client, Arc::clone(&self.held)))))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((client, held)) = &self.0 else { return };
        let mut held = held.lock();
        if let Some(count) = held.get_mut(client) {
            *count -= 1;
            if *count == 0 {
                held.remove(client);
            }
        }
    }
}

/// What counts as one client: an address of IPv4, or of IPv6 the network of which one host has all addresses.
fn client(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let shares = Shares::new(16, None, vec![ip("10.0.0.9")]);
        let mut held: Vec<Share> = (0..12).map(|_| shares.take(ip("192.0.2.1")).unwrap()).collect();
        assert!(shares.take(ip("192.0.2.1")).is_none());
        assert!(shares.take(ip("::ffff:192.0.2.1")).is_none(), "the same address in IPv6");
        assert!(shares.take(ip("192.0.2.2")).is_some());
        held.pop();
        held.push(shares.take(ip("192.0.2.1")).unwrap());
        assert!(shares.take(ip("192.0.2.1")).is_none());
        let many: Vec<Share> =
            (0..100).flat_map(|_| ["127.0.0.1", "::1", "10.0.0.9"].map(|a| shares.take(ip(a)).unwrap())).collect();
        drop((held, many));
        assert!(shares.held.lock().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn what_is_said_goes_for_loopback_too() {
        let shares = Shares::new(16, Some(2), vec![ip("10.0.0.9")]);
        for address in ["127.0.0.1", "127.0.0.2", "::1", "2001:db8::1"] {
            let held = [shares.take(ip(address)).unwrap(), shares.take(ip(address)).unwrap()];
            assert!(shares.take(ip(address)).is_none(), "{address}");
            drop(held);
        }
        let _proxied: Vec<Share> = (0..9).map(|_| shares.take(ip("10.0.0.9")).unwrap()).collect();
    }

    #[test]
    fn a_network_of_one_host_is_one_client() {
        let shares = Shares::new(16, Some(2), Vec::new());
        let _held = [shares.take(ip("2001:db8:1:2::3")).unwrap(), shares.take(ip("2001:db8:1:2:ffff::4")).unwrap()];
        assert!(shares.take(ip("2001:db8:1:2::5")).is_none());
        assert!(shares.take(ip("2001:db8:1:3::5")).is_some());
    }
}
