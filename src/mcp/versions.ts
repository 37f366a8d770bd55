/** The protocol revisions that are spoken here, and the names that 2026-07-28 puts into `_meta`. */

export const modernVersion = '2026-07-28'

/** Revisions with an `initialize` handshake, the newest first. */
export const legacyVersions = ['2025-11-25', '2025-06-18', '2025-03-26'] as const

export type LegacyVersion = (typeof legacyVersions)[number]

export const isLegacyVersion = (version: string): version is LegacyVersion =>
  legacyVersions.some((known) => known === version)

export const meta = {
  version: 'io.modelcontextprotocol/protocolVersion',
  capabilities: 'io.modelcontextprotocol/clientCapabilities',
  serverInfo: 'io.modelcontextprotocol/serverInfo',
  subscription: 'io.modelcontextprotocol/subscriptionId',
  logLevel: 'io.modelcontextprotocol/logLevel',
} as const
