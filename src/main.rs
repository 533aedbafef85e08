//! The `pgset` program: everything is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    pgset::main(std::env::args_os())
}
