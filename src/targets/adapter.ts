/** The port that every kind of upstream implements: how its description is read, a request made, an answer understood. */
import type {
  InboundResponse,
  InputAnswers,
  Json,
  Operation,
  OperationRef,
  Outcome,
  OutboundRequest,
  Target,
} from '../core/model.ts'
import type { FunctionFacts } from './lambda/function.ts'

/** What an import has to say about one place of a description. */
export interface Issue {
  readonly severity: 'error' | 'warning'
  readonly code: string
  /** JSON Pointer (RFC 6901) into the description. */
  readonly pointer: string
  readonly message: string
}

/** Choices of the configuration that shape an import. */
export interface ImportOptions {
  /** Replaces every server that the description names. */
  readonly server?: string
  /** Where the description was loaded from; relative servers are resolved against it. */
  readonly documentUrl?: string
  /** Values for server variables; the description's defaults otherwise. */
  readonly serverVariables?: ReadonlyMap<string, string>
  /** Enumerated server variables that callers choose, as arguments. */
  readonly serverArguments?: readonly string[]
  /** OpenAPI Overlay documents, applied in order before anything else. */
  readonly overlays?: readonly { readonly name: string; readonly bytes: Uint8Array }[]
  /** Media types to send where an operation takes several: by operation id or `METHOD /path`, `''` for all others. */
  readonly contentTypes?: ReadonlyMap<string, string>
  /** Characters that a tool’s description may have. */
  readonly descriptionChars?: number
  /** Where the target's credential goes, so that no argument can take its place. */
  readonly credentialPlace?: { readonly in: 'header' | 'query' | 'cookie'; readonly name: string }
}

/** What an MCP server offers besides tools (MCP 2026-07-28, prompts and resources): checked, bounded, in its own words. */
export interface Offers {
  /** `Prompt` objects, by their names at the server. */
  readonly prompts: readonly { readonly name: string; readonly [member: string]: Json }[]
  /** `Resource` objects. */
  readonly resources: readonly { readonly uri: string; readonly [member: string]: Json }[]
  /** `ResourceTemplate` objects. */
  readonly templates: readonly { readonly uriTemplate: string; readonly [member: string]: Json }[]
  /** It completes arguments of prompts and templates. */
  readonly completions: boolean
  /** It tells when a resource changes. */
  readonly subscribe: boolean
}

export interface ImportResult {
  /** For example `openapi-3.1`. */
  readonly format: string
  /** Absolute URL of the first server, when the description or the configuration has one. */
  readonly server?: string
  /** Origins besides the server’s that callers may choose by server arguments. */
  readonly origins: readonly string[]
  readonly operations: readonly Operation[]
  readonly issues: readonly Issue[]
  /** Of an MCP server. */
  readonly offers?: Offers
  /** What a Lambda file says of its function, checked. */
  readonly lambda?: FunctionFacts
}

/** A kind of upstream. All three are pure: bytes, arguments or an answer in, a value out. */
export interface TargetAdapter {
  readonly kind: string
  /** Throws `bad_description` when nothing can be made of the bytes; a bad operation only costs itself, with an issue. */
  load(bytes: Uint8Array, options: ImportOptions): Promise<ImportResult>
  /**
   * Throws `request_unbuildable` when the arguments cannot be put into a request. `answers` are the client’s to what an
   * earlier answer of this operation asked.
   */
  prepare(
    operation: OperationRef,
    args: { readonly [name: string]: Json },
    target: Target,
    answers?: InputAnswers,
  ): OutboundRequest
  /** Never throws for anything that a target can send. `output` is there when the tool has an output schema. */
  interpret(operation: OperationRef, response: InboundResponse, output?: OutputCheck): Outcome
}

/** Checks an answer against the tool's `outputSchema`; gives the largest conforming part. */
export interface OutputCheck {
  /** The value itself when it conforms, a copy without the members that do not, and whether anything was left out. */
  conform(value: Json): { readonly value: Json; readonly whole: boolean }
}
