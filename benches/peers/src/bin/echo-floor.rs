//! Writes back whatever arrives: what reading and writing alone cost.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

fn main() -> std::io::Result<()> {
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(()),
            arrived => output.write_all(&buffer[..arrived])?,
        }
    }
}
