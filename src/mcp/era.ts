/** What differs between the revisions in how a call is answered, and what a call is before it is made. */
import type { CancelSignal } from '../core/cancel.ts'
import type { InputAnswers, InputRequest, Json, Principal } from '../core/model.ts'
import type { ClientCapability } from '../transports/transport.ts'
import type { LinkWay } from './connect.ts'
import type { Id, Params } from './message.ts'
import type { Reply } from './reply.ts'

/** What a revision makes of a call. */
export interface Era {
  readonly modern: boolean
  /** Members that go into every result’s `_meta`, as JSON text without braces; empty for none. */
  readonly resultMeta: string
  /** Closes the result besides `_meta`, for example `,"resultType":"complete"`. */
  readonly resultEnd: string
  /** Whether the caller wants log notifications of this weight. */
  readonly logs: (level: string) => boolean
  /** What this client can be asked. */
  readonly capabilities: readonly ClientCapability[]
  /** How this client can be sent to a page where its user connects an account. */
  readonly links: LinkWay
  /** A call begins that the client may withdraw by its id; what comes back ends that. */
  readonly begun?: (id: Id, withdraw: () => void) => () => void
  /** What to do when the target asks the client: an answer for the wire, or the client’s answers to go on with. */
  readonly ask: (input: InputRequest, call: ToolCall, reply: Reply, signal: CancelSignal) => Promise<Asked>
}

export type Asked =
  | { readonly kind: 'answers'; readonly answers: InputAnswers }
  | { readonly kind: 'result'; readonly text: string }

export interface ToolCall {
  readonly id: Id
  readonly name: string
  readonly arguments: Json
  readonly params: Params
  readonly view: string
  readonly caller: Principal
  readonly bytesIn: number
}
