/** The recipe that turns a tool's arguments into an HTTP request: made at import, plain JSON, read at each call. */
import type { XmlBinding } from './xml-shape.ts'

export type Place = 'path' | 'query' | 'header' | 'cookie' | 'querystring'

/** OpenAPI's styles, and Swagger 2.0's tab-separated lists. */
export type Style =
  | 'matrix'
  | 'label'
  | 'simple'
  | 'form'
  | 'spaceDelimited'
  | 'pipeDelimited'
  | 'tabDelimited'
  | 'deepObject'
  | 'cookie'

export interface ParameterBinding {
  /** The argument’s name in the tool’s input schema. */
  readonly argument: string
  /** The name on the wire. */
  readonly name: string
  readonly in: Place
  readonly style: Style
  readonly explode: boolean
  /** How the lists in a list are written (Swagger 2.0), from the outermost in. */
  readonly inner?: readonly Style[]
  /** RFC 6570 reserved expansion. */
  readonly reserved?: true
  /** Serialised by a media type instead of a style (`content`). */
  readonly content?: string
  /** Of a query that is a form: what `encoding` says of a field, by its name on the wire. */
  readonly fields?: { readonly [name: string]: FieldBinding }
}

export type BodyKind = 'json' | 'lines' | 'form' | 'multipart' | 'text' | 'xml' | 'binary'

export interface FieldBinding {
  readonly contentType?: string
  readonly style?: Style
  readonly explode?: boolean
  readonly inner?: readonly Style[]
  readonly reserved?: true
  /** Its value is a file: `{filename?, contentType?, data}`, or a list of them; `told`: only one that looks like that. */
  readonly file?: true | 'told'
  /** A list is written item by item, whatever the media type. */
  readonly each?: true
  /** Its value is written as XML. */
  readonly xml?: XmlBinding
}

export interface BodyBinding {
  readonly kind: BodyKind
  readonly contentType: string
  /** What `encoding` (or Swagger 2.0’s `collectionFormat`) says of a field, by its name on the wire. */
  readonly fields?: { readonly [name: string]: FieldBinding }
  /** A list of parts without names (OpenAPI 3.2): the first ones each by its place, the others alike. */
  readonly positions?: { readonly first: readonly FieldBinding[]; readonly rest: FieldBinding }
  /** Of members that `fields` does not name. */
  readonly others?: FieldBinding
  readonly xml?: XmlBinding
}

export interface Binding {
  readonly method: string
  /** Literal text and parameters in turn: even places are text, odd ones name an argument. */
  readonly path: readonly string[]
  readonly parameters: readonly ParameterBinding[]
  readonly body?: BodyBinding
  readonly accept: string
  /** Its description names `application/vnd.toolgate.result+json` as an answer. */
  readonly speaksMcp?: true
  /** Where the description sends this operation, when that is not the target’s own server. */
  readonly server?: { readonly origin: string; readonly basePath: string }
  /** Where callers choose the server: which arguments tell it, and what each combination of their values leads to. */
  readonly servers?: {
    readonly arguments: readonly { readonly argument: string; readonly preset: string }[]
    readonly choices: readonly {
      readonly values: readonly string[]
      readonly origin: string
      readonly basePath: string
    }[]
  }
  /** Shown key → key on the wire, and the schema that tells where it applies. */
  readonly renames?: {
    readonly keys: { readonly [shown: string]: string }
    readonly schema: { readonly [keyword: string]: unknown }
  }
}

/** The one argument that is the request body. */
export const bodyArgument = 'body'
