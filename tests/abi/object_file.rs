//! The object as a file: its symbols, its sections, its BTF.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "BTF has twenty kinds of type; a few may stand where we look"
)]

use btf_rs::{Btf, BtfType, Type};
use lb_tests::object::object_bytes;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SymbolKind};

/// The object, parsed by crates that the product does not use.
pub(crate) struct ObjectFile {
    bytes: Vec<u8>,
    btf: Btf,
}

/// What a `#[btf_map]` says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapDefinition {
    /// `BPF_MAP_TYPE_*`.
    pub(crate) kind: usize,
    /// Bytes of a key.
    pub(crate) key: usize,
    /// Bytes of a value.
    pub(crate) value: usize,
    /// Elements.
    pub(crate) max_entries: usize,
    /// `BPF_F_*`.
    pub(crate) flags: usize,
}

/// A field as BTF has it: name, offset and size in bytes.
pub(crate) type Field = (String, usize, usize);

impl ObjectFile {
    /// Reads the built object.
    pub(crate) fn read() -> Self {
        let bytes = object_bytes();
        let file = object::File::parse(&*bytes).expect("an ELF file");
        let section = file.section_by_name(".BTF").expect("a section .BTF");
        let btf = Btf::from_bytes(section.data().expect("BTF bytes")).expect("valid BTF");
        Self { bytes, btf }
    }

    fn file(&self) -> object::File<'_> {
        object::File::parse(&*self.bytes).expect("an ELF file")
    }

    /// The bytes of a section.
    pub(crate) fn section(&self, name: &str) -> Vec<u8> {
        let file = self.file();
        let section = file.section_by_name(name);
        let section = section.unwrap_or_else(|| panic!("the object has no section {name}"));
        section.data().expect("section bytes").to_vec()
    }

    /// The names of the functions in a section, in order.
    pub(crate) fn functions(&self, section: &str) -> Vec<String> {
        self.symbols(section, SymbolKind::Text)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    /// Names and sizes of the symbols of one kind in a section, by name.
    pub(crate) fn symbols(&self, section: &str, kind: SymbolKind) -> Vec<(String, u64)> {
        let file = self.file();
        let index = file.section_by_name(section).expect("a section").index();
        let mut symbols: Vec<_> = file
            .symbols()
            .filter(|symbol| symbol.section_index() == Some(index) && symbol.kind() == kind)
            .map(|symbol| (symbol.name().unwrap_or_default().to_owned(), symbol.size()))
            .collect();
        symbols.sort();
        symbols
    }

    /// The names of all maps, sorted.
    pub(crate) fn maps(&self) -> Vec<String> {
        let symbols = self.symbols(".maps", SymbolKind::Data);
        symbols.into_iter().map(|(name, _)| name).collect()
    }

    /// The definition of a map.
    pub(crate) fn map(&self, name: &str) -> MapDefinition {
        let number = |field| match self.pointee(name, field) {
            Type::Array(array) => array.len(),
            other => panic!("`{field}` of map {name} is {}, not a number", other.name()),
        };
        MapDefinition {
            kind: number("type"),
            key: self.size(&self.pointee(name, "key")),
            value: self.size(&self.pointee(name, "value")),
            max_entries: number("max_entries"),
            flags: number("map_flags"),
        }
    }

    /// The type of a map's keys or values.
    pub(crate) fn pointee(&self, map: &str, field: &str) -> Type {
        let Type::Struct(definition) = self.variable(map) else {
            panic!("map {map} is not defined by a struct");
        };
        let member = definition
            .members
            .iter()
            .find(|member| self.name(*member) == field);
        let member = member.unwrap_or_else(|| panic!("map {map} has no `{field}`"));
        match self.follow(member) {
            Type::Ptr(pointer) => self.follow(&pointer),
            other => panic!("`{field}` of map {map} is {}, not a pointer", other.name()),
        }
    }

    /// The type of a static.
    fn variable(&self, name: &str) -> Type {
        let types = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let variable = types.into_iter().find_map(|candidate| match candidate {
            Type::Var(variable) => Some(variable),
            _ => None,
        });
        let variable = variable.unwrap_or_else(|| panic!("BTF knows no static {name}"));
        self.follow(&variable)
    }

    /// The fields of a struct that is found by its name.
    pub(crate) fn fields_of(&self, name: &str) -> (usize, Vec<Field>) {
        let types = self.btf.resolve_types_by_name(name).unwrap_or_default();
        let found = types.iter().find(|found| matches!(found, Type::Struct(_)));
        self.fields(found.unwrap_or_else(|| panic!("BTF knows no struct {name}")))
    }

    /// Size and fields of a struct, in the order of their offsets.
    pub(crate) fn fields(&self, of: &Type) -> (usize, Vec<Field>) {
        let Type::Struct(of) = of else {
            panic!("{} is not a struct", of.name());
        };
        let field = |member: &btf_rs::Member| {
            let offset = member.bit_offset() as usize / 8;
            (self.name(member), offset, self.size(&self.follow(member)))
        };
        let mut fields: Vec<Field> = of.members.iter().map(field).collect();
        fields.sort_by_key(|(_, offset, _)| *offset);
        (of.size(), fields)
    }

    /// The type of a struct's field.
    pub(crate) fn member(&self, of: &Type, name: &str) -> Type {
        let Type::Struct(of) = of else {
            panic!("{} is not a struct", of.name());
        };
        let found = of.members.iter().find(|member| self.name(*member) == name);
        self.follow(found.unwrap_or_else(|| panic!("the struct has no `{name}`")))
    }

    fn size(&self, of: &Type) -> usize {
        match of {
            Type::Int(int) => int.size(),
            Type::Struct(of) | Type::Union(of) => of.size(),
            Type::Array(array) => array.len() * self.size(&self.follow(array)),
            Type::Ptr(_) => 8,
            other => panic!("no size is known for {}", other.name()),
        }
    }

    fn name(&self, of: &dyn BtfType) -> String {
        self.btf.resolve_name(of).unwrap_or_default()
    }

    fn follow(&self, of: &dyn BtfType) -> Type {
        self.btf
            .resolve_chained_type(of)
            .expect("a type that refers to another")
    }
}
