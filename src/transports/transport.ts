/** The port of a way to a target: by signed HTTP, by AWS's client, or by MCP's. What it carries is an adapter's request. */
import type { CancelSignal } from '../core/cancel.ts'
import type { InboundResponse, InputAnswers, Json, OutboundRequest, Principal } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

export type Phase = 'sent' | 'headers' | 'body'

/** What a target tells while it is at work (MCP `notifications/progress` and `notifications/message`). */
export type Notice =
  | { readonly kind: 'progress'; readonly progress: number; readonly total?: number; readonly message?: string }
  | { readonly kind: 'log'; readonly level: string; readonly logger?: string; readonly data: Json }

/** The capabilities of a client that a target may make use of (MCP client capabilities), by name. */
export type ClientCapability = 'elicitation' | 'elicitation.url' | 'sampling' | 'roots'

/** All that a way to a target may need to know of the call besides its request. */
export interface Delivery {
  readonly caller: Principal
  /** What is called, as the caller names it: a tool, with its target before it. */
  readonly name: string
  /** Of a tool: the operation, in its target’s own words. */
  readonly operation?: { readonly id: string; readonly label: string }
  /** Id of the usage record. */
  readonly usageId: string
  /** Id of the caller's own JSON-RPC request. */
  readonly messageId: string | number
  /** Whether the request may be made twice. */
  readonly idempotent: boolean
  /** What the caller's client can be asked. */
  readonly capabilities: readonly ClientCapability[]
  /** The client's answers to what an earlier answer of the target asked. */
  readonly answers?: InputAnswers
  readonly signal: CancelSignal
  readonly onPhase?: (phase: Phase, bytes: number) => void
  readonly onNotice?: (notice: Notice) => void
}

/** An answer as it came, with what it was asked by: none of these secrets may come back to a caller. */
export interface Delivered {
  readonly response: InboundResponse
  readonly secrets: readonly Secret[]
}

export interface Transport {
  /**
   * Makes the request, once, or once more where it provably was not begun. Any answer of the target is one; throws
   * `connection_required`, `cancelled`, `overloaded`, the `token_…` and the `target_…` errors.
   */
  send(request: OutboundRequest, delivery: Delivery): Promise<Delivered>
}
