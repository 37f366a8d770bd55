/** The argument `body` as bytes of its media type. */
import { randomUUID } from 'node:crypto'
import { GatewayError } from '../../core/errors.ts'
import type { Json } from '../../core/model.ts'
import type { BodyBinding, FieldBinding } from './binding.ts'
import { encodeForm, encodeReserved } from './encode.ts'
import { type Pair, queryStyle, scalar } from './styles.ts'
import { essence, isJsonType } from './tree.ts'
import { encodeXml } from './xml.ts'
import type { XmlBinding } from './xml-shape.ts'

export interface EncodedBody {
  readonly contentType: string
  readonly bytes: Uint8Array | string
}

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

export function encodeBody(value: Json, binding: BodyBinding): EncodedBody {
  const { contentType } = binding
  switch (binding.kind) {
    case 'json':
      return { contentType, bytes: JSON.stringify(value) }
    case 'lines':
      return { contentType, bytes: jsonLines(value, contentType) }
    case 'text':
      return { contentType, bytes: scalar(value) }
    case 'xml':
      return { contentType, bytes: binding.xml === undefined ? scalar(value) : encodeXml(value, binding.xml) }
    case 'binary':
      return { contentType, bytes: fromBase64(value, 'body') }
    case 'form':
      return { contentType, bytes: formBody(members(value), binding) }
    case 'multipart':
      return binding.positions === undefined
        ? multipartBody(members(value), binding)
        : sequenceBody(value, binding.contentType, binding.positions)
  }
}

/** One value a line; in a JSON text sequence each behind a record separator (RFC 7464 §2.2). */
const jsonLines = (value: Json, contentType: string): string => {
  const start = essence(contentType).endsWith('json-seq') ? '\u001e' : ''
  return (Array.isArray(value) ? value : [value]).map((item) => `${start}${JSON.stringify(item)}\n`).join('')
}

type Members = readonly (readonly [string, Json])[]

function checkText(value: Json): void {
  if (!JSON.stringify(value).isWellFormed() || /\\ud[89a-f][0-9a-f]{2}/.test(JSON.stringify(value)))
    throw unbuildable('A text holds half of a surrogate pair.')
}

const members = (value: Json): Members => {
  checkText(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unbuildable('The argument `body` must be an object of the form’s fields.')
  return Object.entries(value).filter(([, item]) => item !== null)
}

type FieldsBinding = Pick<BodyBinding, 'fields' | 'others'>

const fieldOf = ({ fields, others }: FieldsBinding, name: string): FieldBinding =>
  (fields !== undefined && Object.hasOwn(fields, name) ? fields[name] : others) ?? {}

/** OAS 3.1.1 §4.8.15.2: by style where one is given, else by content type; structure without either is JSON. */
export function formBody(values: Members, binding: FieldsBinding): string {
  const pairs = values.flatMap(([name, value]): Pair[] => {
    const field = fieldOf(binding, name)
    const encode = field.reserved === true ? (text: string) => encodeReserved(text).replaceAll('%20', '+') : encodeForm
    if (field.style !== undefined)
      return queryStyle(
        name,
        value,
        field.style,
        field.explode ?? field.style === 'form',
        encode,
        encodeForm,
        field.inner,
      )
    const json = jsonField(field)
    if (json || field.xml !== undefined)
      return apart(value, field)
        .filter((item) => item !== null)
        .map((item) => {
          const text = json ? JSON.stringify(item) : isXml(field, item) ? encodeXml(item, field.xml) : scalar(item)
          return [encodeForm(name), encodeForm(text)]
        })
    return queryStyle(name, Array.isArray(value) ? value : scalar(value), 'form', true, encode, encodeForm)
  })
  return pairs.map(([name, value]) => `${name}=${value}`).join('&')
}

/** RFC 7578, with names and file names escaped as browsers do (WHATWG HTML, multipart/form-data encoding). */
function multipartBody(values: Members, binding: BodyBinding): EncodedBody {
  const parts: Buffer[][] = []
  for (const [name, value] of values.flatMap(([name, value]) => styled(name, value, fieldOf(binding, name)))) {
    const field = fieldOf(binding, name)
    for (const item of jsonField(field) ? apart(value, field) : [value].flat()) {
      if (item !== null) parts.push(part(name, item, field))
    }
  }
  return joined(parts, binding.contentType)
}

/** Parts in their order, without names (RFC 2046 §5.1.3). */
function sequenceBody(
  value: Json,
  contentType: string,
  { first, rest }: NonNullable<BodyBinding['positions']>,
): EncodedBody {
  checkText(value)
  if (!Array.isArray(value)) throw unbuildable('The argument `body` must be a list of parts.')
  return joined(
    value.map((item, index) => part(undefined, item, first[index] ?? rest)),
    contentType,
  )
}

function joined(parts: readonly Buffer[][], contentType: string): EncodedBody {
  const boundary = `toolgate-${randomUUID()}`
  const chunks = parts.flatMap((part) => [Buffer.from(`--${boundary}\r\n`), ...part, Buffer.from('\r\n')])
  chunks.push(Buffer.from(`--${boundary}--\r\n`))
  return { contentType: `${essence(contentType)}; boundary=${boundary}`, bytes: Buffer.concat(chunks) }
}

const plain = (text: string): string => text

/** A list or object whose style says how it is written: parts of their own, or joined (OAS 3.1.1 §4.8.15.1.2). */
function styled(name: string, value: Json, field: FieldBinding): Members {
  if (field.style === undefined || typeof value !== 'object' || field.file !== undefined || jsonField(field))
    return [[name, value]]
  return queryStyle(name, value, field.style, field.explode ?? field.style === 'form', plain, plain, field.inner)
}

/** What is written of a value by itself. */
const apart = (value: Json, field: FieldBinding): readonly Json[] =>
  field.each === true && Array.isArray(value) ? value : [value]

/** A text under an XML media type is XML already. */
const isXml = (field: FieldBinding, value: Json): field is FieldBinding & { xml: XmlBinding } =>
  field.xml !== undefined && typeof value === 'object'

const jsonField = (field: FieldBinding): boolean =>
  field.contentType !== undefined && isJsonType(essence(field.contentType))

const escapeName = (name: string): string => name.replaceAll('"', '%22').replaceAll('\r', '%0D').replaceAll('\n', '%0A')

function part(name: string | undefined, value: Json, field: FieldBinding): Buffer[] {
  const disposition = name === undefined ? [] : [`Content-Disposition: form-data; name="${escapeName(name)}"`]
  const declared = field.contentType?.split(',', 1)[0]?.trim()
  const file = field.file === true || (field.file === 'told' && typeof value !== 'string') ? asFile(value) : undefined
  if (file !== undefined) {
    const type =
      file.contentType ?? (declared === undefined || declared.includes('*') ? 'application/octet-stream' : declared)
    if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?: *; *[\w!#$&^.+-]+=[\w!#$&^.+"-]+)*$/.test(type))
      throw unbuildable(`The content type of the file \`${name ?? 'body'}\` is not a media type.`)
    return [
      head([...fileDisposition(name, file.filename), `Content-Type: ${type}`]),
      fromBase64(file.data, name ?? 'body'),
    ]
  }
  const structured = typeof value === 'object' || jsonField(field)
  const type =
    declared !== undefined && !declared.includes('*') ? declared : structured ? 'application/json' : undefined
  const text = isXml(field, value) ? encodeXml(value, field.xml) : structured ? JSON.stringify(value) : scalar(value)
  return [head(type === undefined ? disposition : [...disposition, `Content-Type: ${type}`]), Buffer.from(text)]
}

const head = (lines: readonly string[]): Buffer => Buffer.from([...lines, '', ''].join('\r\n'))

/** Every file of a form has a name; one in a list of parts only where it is given (RFC 2183 §2.3). */
function fileDisposition(name: string | undefined, filename: string | undefined): string[] {
  if (name !== undefined)
    return [`Content-Disposition: form-data; name="${escapeName(name)}"; filename="${escapeName(filename ?? name)}"`]
  return filename === undefined ? [] : [`Content-Disposition: attachment; filename="${escapeName(filename)}"`]
}

function asFile(
  value: Json,
): { data: Json; filename: string | undefined; contentType: string | undefined } | undefined {
  if (typeof value === 'string') return { data: value, filename: undefined, contentType: undefined }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, 'data'))
    return undefined
  const { data, filename, contentType, ...others } = value
  if (data === undefined || Object.keys(others).length > 0) return undefined
  return {
    data,
    filename: typeof filename === 'string' ? filename : undefined,
    contentType: typeof contentType === 'string' ? contentType : undefined,
  }
}

/** RFC 4648 §4, strictly: what is not base64 is refused, not guessed. */
function fromBase64(value: Json | undefined, name: string): Buffer {
  const text = typeof value === 'string' ? value.replace(/\s+/g, '') : undefined
  if (text === undefined || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(text))
    throw unbuildable(`The bytes of \`${name}\` must be base64.`)
  return Buffer.from(text, 'base64')
}
