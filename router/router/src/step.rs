//! A step of the slow path: the state and context that it works on.
//!
//! The methods of [`Step`] are in the files of their subjects: [`slow`](crate::slow) for packets on
//! their way, [`local`](crate::local) for those that are for the router,
//! [`neighbor`](crate::neighbor) for ARP and Neighbor Discovery, [`route`](crate::route) for the
//! tables.

use config::{Config, InterfaceConfig};

use crate::cx::Cx;
use crate::frame::InterfaceId;
use crate::neighbor::nud::Nud;
use crate::state::State;
use crate::tables::Tables;

/// All state, for one step.
pub(crate) struct Step<'a> {
    /// The configuration in effect.
    pub(crate) config: &'a Config,
    /// What lanes read.
    pub(crate) tables: &'a mut Tables,
    /// What only the slow path touches.
    pub(crate) state: &'a mut State,
    /// The time, counters, randomness, and where output goes.
    pub(crate) cx: Cx<'a>,
}

impl<'a> Step<'a> {
    /// Returns the configuration of an interface.
    pub(crate) fn config_of(&self, id: InterfaceId) -> Option<&'a InterfaceConfig> {
        self.config.interfaces.get(self.state.ids.index_of(id)?)
    }

    /// Returns the name of an interface.
    pub(crate) fn name_of(&self, id: InterfaceId) -> &'a str {
        self.config_of(id).map_or("?", |i| i.name.as_str())
    }

    /// Returns the state machine of neighbors.
    pub(crate) fn nud(&mut self) -> Nud<'_, 'a> {
        Nud {
            interfaces: &self.tables.interfaces,
            adjacencies: &mut self.tables.adjacencies,
            table: &mut self.state.neighbors,
            cx: &mut self.cx,
        }
    }
}
