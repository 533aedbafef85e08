//! Addresses. Everything in 127.0.0.0/8 is this machine; a sandbox takes 254 of them: one is the API
//! server's, the others are for pods and Services, each with all its ports.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The addresses of a sandbox.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 3],
    next: AtomicU8,
}

impl Network {
    /// The addresses beside this one.
    #[must_use]
    pub fn beside(server: Ipv4Addr) -> Self {
        let [a, b, c, _] = server.octets();
        Self { prefix: [a, b, c], next: AtomicU8::new(2) }
    }

    /// Whether an address is one of them.
    pub fn has(&self, address: &str) -> bool {
        let [a, b, c] = self.prefix;
        address.starts_with(&format!("{a}.{b}.{c}."))
    }

    /// An address that nobody has; not one that was given back a moment ago, if it can be helped.
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
