//! What takes several steps and can be resumed.

pub mod apply;
pub(crate) mod configure;
pub(crate) mod connection;
pub mod desired;
pub mod erase;
pub(crate) mod grow;
pub(crate) mod inspect;
pub mod live;
pub(crate) mod password_file;
pub(crate) mod planning;
pub(crate) mod role;
pub(crate) mod scale;
pub(crate) mod server;
pub(crate) mod slots;
pub mod sql;
pub(crate) mod tls;
pub(crate) mod topology;
pub mod wait;
