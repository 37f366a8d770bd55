/** What the wire needs of the gateway. */
import type { Authenticate } from '../auth/authenticate.ts'
import type { CallRoom } from '../call/metered.ts'
import type { Snapshot } from '../call/snapshot.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import type { Principal } from '../core/model.ts'
import type { Asks } from './asks.ts'
import type { Guard } from './guard.ts'
import type { Hub } from './hub.ts'
import type { Seal } from './seal.ts'

export interface McpContext {
  readonly room: CallRoom
  current(): Snapshot
  readonly authenticate: Authenticate
  readonly guard: Guard
  readonly hub: Hub
  readonly asks: Asks
  readonly seal: Seal
  /** The page of a sign-in under way, and the code to enter there where the page cannot tell who is looking at it. */
  connectLink(pendingId: string, caller: Principal): { readonly url: string; readonly code?: string | undefined }
  /** What one call of a tool costs, with its currency, such as `0.000005000 USD`; nothing where that depends on volume. */
  costOf(target: string, tool: string): string | undefined
  readonly clock: Clock
  readonly log: Log
  readonly version: string
  /** Nothing new is taken on while the process drains. */
  readonly draining: () => boolean
}
