//! The muxer through its public verbs, with pictures and sound of real encoders (`tests/fixtures`, see its README).

mod captions;
mod clip;
mod conform;
mod dvr;
mod golden;
mod ladder;
mod opus;
mod packager;
mod program;
mod reader;
mod recording;
mod thumbnails;
mod tools;
mod track;
mod window;
