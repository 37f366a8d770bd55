/** The nouns of the gateway. Every other room speaks in these words; none of them knows a transport. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** JSON Schema 2020-12, self-contained: `$ref` points into its own `$defs` only. */
export type JsonSchema = { readonly [keyword: string]: unknown }

/** What calling does to the target: drives annotations and what may be repeated. */
export type Effect = 'read' | 'write' | 'delete'

/** One thing a target can do, as its description names it. Made at load time, never changed. */
export interface Operation {
  /** `operationId`, or one made from method and path; unique within the target. */
  readonly id: string
  /** How the target's own documentation names it, for example `GET /pets/{id}`. */
  readonly label: string
  readonly title?: string
  readonly description: string
  /** As the description groups it. */
  readonly tags?: readonly string[]
  /** An object schema without combinators at its root: the flat arguments. */
  readonly input: JsonSchema
  /** Given when success is a JSON object of known shape. */
  readonly output?: JsonSchema
  readonly effect: Effect
  /** Repeating it changes nothing more (RFC 9110 §9.2.2). */
  readonly idempotent: boolean
  /** The adapter's own recipe for the request; plain JSON, opaque to everyone else. */
  readonly binding: Json
}

/** An upstream the gateway calls. `origin` is the only place its credential may go. */
export interface Target {
  readonly name: string
  readonly kind: string
  /** `scheme://host[:port]` as a URL prints it. */
  readonly origin: string
  /** Path under the origin that every operation starts with, without a trailing slash. */
  readonly basePath: string
  /** Further origins that the operator lets callers choose; the credential may go there too. */
  readonly origins?: readonly string[]
  readonly timeoutMs: number
  readonly headers: HeaderRules
}

interface HeaderRules {
  /** Sent with every request to the target. */
  readonly set: ReadonlyMap<string, string>
  /** Lower-case names of the caller's headers that go on to the target. */
  readonly forwardRequest: readonly string[]
  /** Lower-case names of the target's headers that come back in the result's `_meta`. */
  readonly forwardResponse: readonly string[]
}

/** MCP `ToolAnnotations`, as derived from an operation. */
export interface Annotations {
  readonly title?: string
  readonly readOnlyHint: boolean
  readonly destructiveHint: boolean
  readonly idempotentHint: boolean
  readonly openWorldHint: boolean
}

/** An operation as an MCP client sees it. */
export interface Tool {
  readonly name: string
  readonly target: Target
  readonly operation: OperationRef
  /** The MCP tool definition as UTF-8 JSON, exactly the bytes that `tools/list` sends. */
  readonly definition: Uint8Array
}

/** The part of an operation that a call needs; schemas are read from the definition when first used. */
export interface OperationRef {
  readonly id: string
  readonly label: string
  readonly effect: Effect
  readonly idempotent: boolean
  readonly binding: Json
  readonly presets?: Presets
  readonly response?: ResponseRule
}

/** Arguments that the operator settles, by JSON Pointer (RFC 6901) into the arguments. */
export interface Presets {
  /** Sent whatever the caller says; callers do not see them. */
  readonly fixed: readonly (readonly [pointer: string, value: Json])[]
  /** Sent where the caller says nothing. */
  readonly defaults: readonly (readonly [pointer: string, value: Json])[]
}

/** What of an answer is passed on. */
export interface ResponseRule {
  /** A JMESPath expression, or JSON Pointers of the members to keep; a token that is no index goes into every item of a list. */
  readonly select?: string | readonly string[] | undefined
  /** Bytes of text at most; a list is cut between its items. */
  readonly maxBytes?: number | undefined
}

/** The caller, as the inbound check established it. Keys everything that belongs to a caller. */
export interface Principal {
  readonly tenant: string
  readonly subject: string
  readonly client: string
  readonly scopes: ReadonlySet<string>
  /** What the inbound check verified besides, by claim name: for access rules, never passed on. */
  readonly claims?: ReadonlyMap<string, Json>
}

/** A request to a target before it is signed. There is no place in it for the caller's own token. */
export interface OutboundRequest {
  readonly method: string
  /** Absolute URL; always of the target's origin. */
  readonly url: string
  readonly headers: Map<string, string>
  readonly body?: Uint8Array | string
}

/** What came back: decoded and bounded. */
export interface InboundResponse {
  readonly status: number
  /** Lower-case names; repeated fields joined by `, ` (RFC 9110 §5.3). */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** The body was longer than the bound and was cut. */
  readonly cut: boolean
}

/** A block of an MCP result (2026-07-28 `ContentBlock`), as far as targets produce them. */
export type Content = BlockFacts &
  (
    | { readonly type: 'text'; readonly text: string }
    | { readonly type: 'image' | 'audio'; readonly data: string; readonly mimeType: string }
    | {
        readonly type: 'resource'
        readonly resource: { readonly uri: string; readonly mimeType?: string } & (
          | { readonly text: string }
          | { readonly blob: string }
        )
      }
    | { readonly type: 'resource_link'; readonly uri: string; readonly name: string; readonly [member: string]: Json }
  )

/** What a target that speaks MCP says of a block besides. */
interface BlockFacts {
  readonly annotations?: { readonly [name: string]: Json }
  readonly _meta?: { readonly [name: string]: Json }
}

/** What a call came to, before it is put into words for a client. */
export interface Outcome {
  readonly isError: boolean
  readonly content: readonly Content[]
  /** JSON text of the structured content, verbatim as the target sent it (digits of large numbers survive). */
  readonly structured?: string
  readonly status?: number
  readonly meta?: { readonly [key: string]: Json }
  /** The target asks the caller’s client before it can go on. */
  readonly ask?: InputRequest
}

/** MCP 2026-07-28 `InputRequiredResult`: requests for the client by key, and what the target wants to hear again. */
export interface InputRequest {
  readonly requests: {
    readonly [key: string]: { readonly method: string; readonly params: { readonly [key: string]: Json } }
  }
  readonly state?: string
}

/** The client’s answers to an `InputRequest`. */
export interface InputAnswers {
  readonly responses: { readonly [key: string]: Json }
  readonly state?: string
}

/** How a call ended, for the record. */
export type OutcomeKind =
  | 'ok'
  | 'target_error'
  | 'invalid_arguments'
  | 'failed'
  /** The target took nothing on: nothing was sent, or it was refused for want of a credential. */
  | 'unreached'
  | 'cancelled'
  | 'input_required'
  | 'unknown'
