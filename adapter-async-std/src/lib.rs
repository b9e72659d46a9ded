//! Socket.IO on async-std.
