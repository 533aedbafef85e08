//! IP addresses. All of 127.0.0.0/8 is this machine. A sandbox uses 254 of these addresses: one for
//! the API server, the others for pods and Services. Each address has all ports.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The addresses of a sandbox.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 3],
    next: AtomicU8,
}

impl Network {
    /// The addresses in the same /24 network as the server's.
    #[must_use]
    pub fn beside(server: Ipv4Addr) -> Self {
        let [a, b, c, _] = server.octets();
        Self { prefix: [a, b, c], next: AtomicU8::new(2) }
    }

    /// Whether an address belongs to the sandbox.
    pub fn has(&self, address: &str) -> bool {
        let [a, b, c] = self.prefix;
        address.starts_with(&format!("{a}.{b}.{c}."))
    }

    /// A free address. Addresses are assigned in turn, so that one that was just released is not
    /// used again at once.
    pub fn take(&self, taken: impl Fn(&str) -> bool) -> Option<String> {
        for _ in 0..=u8::MAX {
            let last = self.next.fetch_add(1, Ordering::Relaxed);
            let [a, b, c] = self.prefix;
            let address = Ipv4Addr::new(a, b, c, last).to_string();
            if (2..255).contains(&last) && !taken(&address) {
                return Some(address);
            }
        }
        None
    }
}
