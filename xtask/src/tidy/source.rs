//! A source file as the rules see it: the paths it names, its string literals, its uses of `unsafe`.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path that a file names, such as `crate::model::Vip`, resolved from the root of its crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The line, from 1.
    pub(super) line: usize,
    /// Its parts; `crate` comes first if it leads into the own crate by a keyword.
    pub(super) path: Vec<String>,
    /// Whether only tests name it.
    pub(super) in_tests: bool,
}

impl Reference {
    /// Whether the path begins like this, by whole parts.
    pub(super) fn starts_with(&self, prefix: &str) -> bool {
        let mut parts = self.path.iter();
        prefix
            .split("::")
            .all(|wanted| parts.next().is_some_and(|part| part == wanted))
    }

    /// Whether the path ends like this, by whole parts.
    pub(super) fn ends_with(&self, suffix: &str) -> bool {
        let mut parts = self.path.iter().rev();
        suffix
            .rsplit("::")
            .all(|wanted| parts.next().is_some_and(|part| part == wanted))
    }

    /// The path as one would write it.
    pub(super) fn text(&self) -> String {
        self.path.join("::")
    }
}

/// A source file.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the workspace.
    pub(super) file: String,
    /// The directory of its package, such as `lb-common`.
    pub(super) package: String,
    /// Its place in the crate, such as `["health", "machine"]`; empty for the root.
    pub(super) module: Vec<String>,
    /// Its text.
    pub(super) text: String,
    /// The paths it names.
    pub(super) references: Vec<Reference>,
    /// String literals with their lines.
    pub(super) strings: Vec<(usize, String)>,
    /// The lines with `unsafe`.
    pub(super) unsafe_lines: Vec<usize>,
}

impl Source {
    /// Reads a file; `file` is its path relative to the workspace.
    ///
    /// # Errors
    /// It is not Rust.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self> {
        let tokens: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            anyhow!("line {}: {error}", error.span().start().line)
        })?;
        let module = module_of(file);
        let mut source = Self {
            file: file.to_owned(),
            package: file.split('/').next().unwrap_or_default().to_owned(),
            module: module.clone(),
            text: text.to_owned(),
            references: Vec::new(),
            strings: Vec::new(),
            unsafe_lines: Vec::new(),
        };
        let in_tests = module.last().is_some_and(|name| name == "tests");
        source.walk(tokens, &Place { module, in_tests });
        Ok(source)
    }

    /// The outermost module the file is in; empty for the root.
    pub(super) fn top_module(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    fn walk(&mut self, tokens: TokenStream, place: &Place) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = tokens.as_slice();
        let mut after_use = false;
        while let Some((token, following)) = rest.split_first() {
            rest = following;
            match token {
                TokenTree::Ident(ident) if ident == "use" => {
                    after_use = true;
                    continue;
                }
                TokenTree::Ident(ident) if ident == "mod" => rest = self.walk_module(rest, place),
                TokenTree::Ident(ident) => {
                    if ident == "unsafe" {
                        self.unsafe_lines.push(ident.span().start().line);
                    }
                    if after_use || separated(rest).is_some() {
                        rest = self.walk_path(token, rest, &[], place);
                    }
                }
                TokenTree::Literal(literal) => self.walk_literal(literal),
                TokenTree::Group(group) if after_use && group.delimiter() == Delimiter::Brace => {
                    self.walk_branches(group.stream(), &[], place);
                }
                TokenTree::Group(group) => self.walk(group.stream(), place),
                TokenTree::Punct(_) => {}
            }
            after_use = false;
        }
    }

    /// The body of `mod name { ... }`, if it has one.
    fn walk_module<'a>(&mut self, tokens: &'a [TokenTree], place: &Place) -> &'a [TokenTree] {
        match tokens {
            [TokenTree::Ident(name), TokenTree::Group(body), rest @ ..]
                if body.delimiter() == Delimiter::Brace =>
            {
                self.walk(body.stream(), &place.child(&name.to_string()));
                rest
            }
            _ => tokens,
        }
    }

    /// A path from its first word on, with everything that its braces hold.
    fn walk_path<'a>(
        &mut self,
        first: &TokenTree,
        mut rest: &'a [TokenTree],
        prefix: &[String],
        place: &Place,
    ) -> &'a [TokenTree] {
        let line = first.span().start().line;
        let mut path = prefix.to_vec();
        path.push(first.to_string());
        while let Some(following) = separated(rest) {
            match following {
                [TokenTree::Ident(word), following @ ..] => {
                    path.push(word.to_string());
                    rest = following;
                }
                [TokenTree::Group(group), following @ ..]
                    if group.delimiter() == Delimiter::Brace =>
                {
                    self.walk_branches(group.stream(), &path, place);
                    return following;
                }
                _ => {
                    rest = following;
                    break;
                }
            }
        }
        let in_tests = place.in_tests;
        self.references.push(Reference {
            line,
            path: place.resolve(path),
            in_tests,
        });
        rest
    }

    /// The branches of a `use` tree: `a::b, c::{d, e}`.
    fn walk_branches(&mut self, tokens: TokenStream, prefix: &[String], place: &Place) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(it) if it.as_char() == ',');
        for branch in tokens.split(comma) {
            if let Some((first @ TokenTree::Ident(_), rest)) = branch.split_first() {
                self.walk_path(first, rest, prefix, place);
            }
        }
    }

    fn walk_literal(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let quoted = text.trim_start_matches(['b', 'c', 'r', '#']);
        if let Some(inner) = quoted.strip_prefix('"') {
            let inner = inner.trim_end_matches('#').trim_end_matches('"');
            self.strings
                .push((literal.span().start().line, inner.to_owned()));
        }
    }
}

/// Where in the crate some tokens stand.
struct Place {
    module: Vec<String>,
    in_tests: bool,
}

impl Place {
    fn child(&self, name: &str) -> Self {
        let mut module = self.module.clone();
        module.push(name.to_owned());
        Self {
            module,
            in_tests: self.in_tests || name == "tests",
        }
    }

    /// A path that begins with `self` or `super`, from the crate's root.
    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let relative = supers > 0 || path.first().is_some_and(|part| part == "self");
        if !relative {
            return path;
        }
        let kept = self.module.len().saturating_sub(supers);
        let keyword = |part: &String| part == "self" || part == "super";
        ["crate".to_owned()]
            .into_iter()
            .chain(self.module.iter().take(kept).cloned())
            .chain(path.into_iter().skip_while(keyword))
            .collect()
    }
}

/// What follows `::`.
fn separated(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(first), TokenTree::Punct(second), rest @ ..]
            if first.as_char() == ':' && second.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// The place in its crate of a file such as `lb-userspace/src/health/machine.rs`.
fn module_of(file: &str) -> Vec<String> {
    let inside = file.split_once("/src/").map_or(file, |(_, inside)| inside);
    let mut module: Vec<String> = inside
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if module.last().is_some_and(|name| name == "mod") || matches!(inside, "lib.rs" | "main.rs") {
        module.pop();
    }
    module
}
