//! Whether a text is JSON (RFC 8259), decided as simply as can be and without the parser that the node is built on,
//! which would agree with itself. To any depth, and without a judgement on surrogates or on the size of numbers,
//! which the grammar does not make either.

/// Whether `text` is one JSON value, with white space around it.
pub fn is_json(text: &str) -> bool {
    let mut reader = Reader {
        rest: text.as_bytes(),
    };
    reader.read().is_some()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn read(&mut self) -> Option<()> {
        // What closes each array and each object that is open.
        let mut closers = Vec::new();
        loop {
            if self.token(b'{') {
                if !self.token(b'}') {
                    closers.push(b'}');
                    self.name()?;
                    continue;
                }
            } else if self.token(b'[') {
                if !self.token(b']') {
                    closers.push(b']');
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended, and perhaps what it was in, too.
            while let Some(&closer) = closers.last() {
                if self.token(closer) {
                    closers.pop();
                } else if self.token(b',') {
                    if closer == b'}' {
                        self.name()?;
                    }
                    break;
                } else {
                    return None;
                }
            }
            if closers.is_empty() {
                self.skip_space();
                return self.rest.is_empty().then_some(());
            }
        }
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes `byte`, behind white space, if it comes next.
    fn token(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take(|next| next == byte).is_some()
    }

    /// Takes the next byte, if it is one of these.
    fn take(&mut self, is_one: impl Fn(u8) -> bool) -> Option<u8> {
        let (&next, rest) = self.rest.split_first().filter(|(next, _)| is_one(**next))?;
        self.rest = rest;
        Some(next)
    }

    fn name(&mut self) -> Option<()> {
        self.skip_space();
        self.string()?;
        self.token(b':').then_some(())
    }

    fn scalar(&mut self) -> Option<()> {
        self.skip_space();
        for word in ["true", "false", "null"] {
            if let Some(rest) = self.rest.strip_prefix(word.as_bytes()) {
                self.rest = rest;
                return Some(());
            }
        }
        if self.rest.first() == Some(&b'"') {
            self.string()
        } else {
            self.number()
        }
    }

    fn string(&mut self) -> Option<()> {
        self.take(|byte| byte == b'"')?;
        loop {
            match self.take(|byte| byte >= b' ')? {
                b'"' => return Some(()),
                b'\\' => self.escaped()?,
                _ => {}
            }
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Option<()> {
        if self.take(|byte| b"\"\\/bfnrtu".contains(&byte))? == b'u' {
            for _ in 0..4 {
                self.take(|byte| byte.is_ascii_hexdigit())?;
            }
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.take(|byte| byte == b'-');
        if self.take(|byte| byte == b'0').is_none() {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.').is_some() {
            self.digits()?;
        }
        if self.take(|byte| byte == b'e' || byte == b'E').is_some() {
            self.take(|byte| byte == b'+' || byte == b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.take(|byte| byte.is_ascii_digit())?;
        while self.take(|byte| byte.is_ascii_digit()).is_some() {}
        Some(())
    }
}
