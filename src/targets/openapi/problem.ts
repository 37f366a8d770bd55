/**
 * What a refusal says, in a line or a few: `application/problem+json` (RFC 9457), and the other shapes in which APIs
 * name what is wrong with which input. The body itself follows it, so nothing has to be caught that is not sure.
 */
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'

type Members = { readonly [key: string]: Json }

/** Empty when the body is no JSON object or names nothing. */
export function problemLines(text: string): string {
  if (text.length > limits.problemChars || nestsDeeper(text, limits.answerDepth)) return ''
  let body: Json
  try {
    body = JSON.parse(text) as Json
  } catch {
    return ''
  }
  if (!isMembers(body)) return ''
  const inner = isMembers(body['error']) ? body['error'] : body
  const title = first(inner, ['title', 'error', 'message', 'error_message', 'msg'])
  const detail = first(inner, ['detail', 'error_description', 'description'])
  const head = [title, detail === title ? '' : detail].filter((part) => part !== '').join(': ')
  const faults = [
    'errors',
    'detail',
    'details',
    'invalid-params',
    'invalid_params',
    'violations',
    'fieldErrors',
    'issues',
  ]
    .flatMap((key) => faultsOf(inner[key] ?? null))
    .slice(0, limits.faultsShown)
  return [head, ...faults.map((fault) => `- ${fault}`)].filter((line) => line !== '').join('\n')
}

/** A list of objects or texts, or an object of lists by field. */
function faultsOf(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => (isMembers(item) ? [faultOf(item)] : texts(item)))
  if (!isMembers(value)) return []
  return Object.entries(value).map(([field, said]) => {
    const words = [said].flat().flatMap((item) => (isMembers(item) ? [faultOf(item)] : texts(item)))
    return words.length === 0 ? '' : `${short(field)}: ${words.join(' ')}`
  })
}

function faultOf(fault: Members): string {
  const words = first(fault, ['detail', 'message', 'msg', 'reason', 'title', 'description', 'code'])
  const place = placeOf(fault)
  return place === '' || words === '' ? words || place : `${place}: ${words}`
}

/** `source.pointer` (JSON:API), `loc` (FastAPI), a field's name. */
function placeOf(fault: Members): string {
  const source = fault['source']
  if (isMembers(source)) return first(source, ['pointer', 'parameter', 'header'])
  const path = fault['loc'] ?? fault['path']
  if (Array.isArray(path)) return short(path.flatMap(texts).join('.'))
  return first(fault, [
    'field',
    'name',
    'pointer',
    'path',
    'property',
    'propertyPath',
    'param',
    'parameter',
    'location',
  ])
}

const first = (members: Members, keys: readonly string[]): string => {
  for (const key of keys) {
    const value = Object.hasOwn(members, key) ? members[key] : undefined
    if (typeof value === 'string' && value.trim() !== '') return short(value.trim())
  }
  return ''
}

const texts = (value: Json): string[] =>
  typeof value === 'string' || typeof value === 'number' ? [short(String(value))] : []

const short = (text: string): string =>
  text.length > limits.faultChars ? `${text.slice(0, limits.faultChars)}…` : text

const isMembers = (value: Json | undefined): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
