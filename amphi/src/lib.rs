//! The shell: everything of amphi that touches the world. The binary is `main.rs`; this library exists so that the
//! tests in `tests/` and the fuzz targets can reach what they need.
//!
//! Start reading at [`serve`], which puts the parts together.

pub mod airings;
pub mod announcement;
pub mod cli;
pub mod codec;
pub mod compose;
pub mod config;
pub mod doctor;
pub mod egress;
pub mod gzip;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod net;
pub mod program;
pub mod serve;
pub mod store;
pub mod thumbnail;
pub mod token_command;
