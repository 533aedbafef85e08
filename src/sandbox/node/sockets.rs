//! Whose connection a socket is. All pods connect from the same address, so the process that has the
//! socket open tells which pod it is.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use super::processes;

/// Whether a process of one of these pods has the client's end of a connection.
pub(super) fn has_client(pods: &[PathBuf], from: SocketAddr, to: SocketAddr) -> bool {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { return false };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let Some(inode) = inode(&table, from, to) else { return false };
    let wanted = PathBuf::from(format!("socket:[{inode}]"));
    processes::below(pods).into_iter().any(|pid| {
        let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
        let mut open = open.into_iter().flatten().flatten();
        open.any(|file| std::fs::read_link(file.path()).is_ok_and(|link| link == wanted))
    })
}

/// The inode of a connection's socket, from the kernel's table.
fn inode(table: &str, from: SocketAddrV4, to: SocketAddrV4) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let found = address(fields.get(1)?)? == from && address(fields.get(2)?)? == to;
        found.then(|| fields.get(9).copied()).flatten()
    })
}

/// `0100007F:1538` is 127.0.0.1:5432: the address is in the machine's byte order.
fn address(text: &str) -> Option<SocketAddrV4> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_an_inode_in_the_kernel_s_table() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (SocketAddr::V4(from), SocketAddr::V4(to)) =
            (client.local_addr().unwrap(), client.peer_addr().unwrap())
        else {
            panic!("not IPv4");
        };
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let number: u64 = inode(&table, from, to).unwrap().parse().unwrap();
        assert!(number > 0);
        // This process is not one of a pod.
        assert!(!has_client(&["/nonexistent".into()], from.into(), to.into()));
        drop(client);
        let nowhere = SocketAddrV4::new(*from.ip(), 1);
        assert_eq!(inode(&table, nowhere, to), None);
    }
}
