//! Routes come and go, and the longest one that holds an address answers.

use std::net::Ipv4Addr;

use lpm::Table;

fn main() {
    let names = ["no route", "default gateway", "office", "laboratory"];
    let mut table = Table::<u32>::new(0);
    let prefix = |a, b, c, d| Ipv4Addr::new(a, b, c, d).to_bits();
    table.insert(prefix(0, 0, 0, 0), 0, 1);
    table.insert(prefix(10, 0, 0, 0), 8, 2);
    table.insert(prefix(10, 1, 0, 0), 16, 3);
    let show = |table: &Table<u32>| {
        let mut values = [0; 3];
        let addresses = [
            prefix(192, 0, 2, 1),
            prefix(10, 9, 9, 9),
            prefix(10, 1, 2, 3),
        ];
        table.lookup_batch(&addresses, &mut values);
        for (address, value) in addresses.iter().zip(values) {
            println!(
                "{}: {}",
                Ipv4Addr::from_bits(*address),
                names[value as usize]
            );
        }
    };
    show(&table);
    table.remove(prefix(10, 1, 0, 0), 16);
    println!("without the laboratory's route:");
    show(&table);
}
