/** Arguments and answers held against a tool's schemas: compiled when first used, kept by recency, bounded in number. */
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { RE2JS } from 're2js'
import { limits } from '../core/limits.ts'
import type { Json, Tool } from '../core/model.ts'
import { heal } from './heal.ts'
import type { ToolDefinition } from './tool.ts'

interface Checks {
  readonly input: ValidateFunction
  readonly output: ValidateFunction | undefined
}

/**
 * Patterns come from strangers, so they run under a linear engine (RE2); one that needs backtracking, such as a
 * look-ahead, is left to the target. `format` is an annotation, as JSON Schema 2020-12 §7.2.1 has it.
 */
const linear = Object.assign(
  (pattern: string, _flags: string) => {
    let expression: RE2JS | undefined
    try {
      expression = RE2JS.compile(pattern)
    } catch {
      expression = undefined
    }
    return {
      test: (text: string): boolean => expression === undefined || expression.test(text),
      toString: (): string => `re2:${pattern}`,
    }
  },
  { code: 'linear' },
)

const makeAjv = (): Ajv2020 =>
  new Ajv2020({
    strict: false,
    allErrors: true,
    validateFormats: false,
    logger: false,
    addUsedSchema: false,
    ownProperties: true,
    code: { regExp: linear },
  })

let ajv: Ajv2020 | undefined
const compiled = new Map<Uint8Array, Checks>()

function checksOf(tool: Tool): Checks {
  let checks = compiled.get(tool.definition)
  if (checks !== undefined) return checks
  ajv ??= makeAjv()
  const definition = JSON.parse(Buffer.from(tool.definition).toString('utf8')) as ToolDefinition
  const { inputSchema, outputSchema } = definition
  checks = {
    input: ajv.compile(inputSchema),
    output: outputSchema === undefined ? undefined : ajv.compile(outputSchema),
  }
  compiled.set(tool.definition, checks)
  if (compiled.size > limits.compiledSchemas) forgetOldest(ajv)
  return checks
}

function forgetOldest(from: Ajv2020): void {
  const [oldest] = compiled
  if (oldest === undefined) return
  compiled.delete(oldest[0])
  for (const check of [oldest[1].input, oldest[1].output]) if (check !== undefined) from.removeSchema(check.schema)
}

export interface Checked {
  /** Each with its path and never a value; none when the arguments fit. */
  readonly faults: readonly string[]
  /** The arguments to go on with. */
  readonly args: Json
  /** Where JSON inside a string was taken for what it says, as JSON Pointers. */
  readonly healed: readonly string[]
}

const nowhere: readonly string[] = []

/** A caller's arguments held against the tool's input schema. */
export function checkArguments(tool: Tool, args: Json): Checked {
  const { input } = checksOf(tool)
  if (fits(input, args)) return { faults: nowhere, args, healed: nowhere }
  const faults = faultsOf(input)
  const healed = heal(input, args, (value) => fits(input, value))
  return healed === undefined
    ? { faults, args, healed: nowhere }
    : { faults: nowhere, args: healed.value, healed: healed.places }
}

function faultsOf(input: ValidateFunction): readonly string[] {
  return [...new Set((input.errors ?? []).map((error) => fault(error).slice(0, limits.faultChars)))].slice(
    0,
    limits.faultsShown,
  )
}

function fault(error: ErrorObject): string {
  const path = error.instancePath === '' ? 'arguments' : `arguments${error.instancePath}`
  switch (error.keyword) {
    case 'required':
      return `${path}/${error.params['missingProperty']}: is required`
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return `${path}/${error.params['additionalProperty'] ?? error.params['unevaluatedProperty']}: is not an argument here`
    case 'enum':
      return `${path}: must be one of ${JSON.stringify(error.params['allowedValues']).slice(0, 300)}`
    case 'const':
      return `${path}: must be ${JSON.stringify(error.params['allowedValue']).slice(0, 100)}`
    default:
      return `${path}: ${error.message ?? 'does not fit'}`
  }
}

export interface Conforming {
  readonly value: Json
  readonly whole: boolean
}

/** The check of a tool's answers, or nothing when it has no output schema. */
export function outputCheck(tool: Tool): { conform(value: Json): Conforming } | undefined {
  const { output } = checksOf(tool)
  return output === undefined ? undefined : { conform: (value) => conform(output, value) }
}

/** Takes out the members at fault, the deepest first; in the end whole members of the root, of which none is required. */
function conform(check: ValidateFunction, value: Json): Conforming {
  if (fits(check, value)) return { value, whole: true }
  let copy: Json
  try {
    copy = structuredClone(value)
  } catch {
    return { value: {}, whole: false }
  }
  for (let round = 0; round < 4; round++) {
    for (const error of check.errors ?? []) removeAt(copy, tokensOf(error), round)
    if (fits(check, copy)) return { value: copy, whole: false }
  }
  return { value: {}, whole: false }
}

/** A recursive schema meets an answer deeper than the stack: that is a misfit, not a crash (F11). */
function fits(check: ValidateFunction, value: Json): boolean {
  try {
    return check(value)
  } catch {
    check.errors = [{ keyword: 'depth', instancePath: '', schemaPath: '#', params: {} }]
    return false
  }
}

function tokensOf(error: ErrorObject): string[] {
  const tokens = error.instancePath
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  const extra = error.params['additionalProperty'] ?? error.params['unevaluatedProperty']
  return typeof extra === 'string' ? [...tokens, extra] : tokens
}

/** Removes the member that a path leads to; an array’s item takes the array’s member with it; later rounds cut higher. */
function removeAt(root: Json, tokens: readonly string[], round: number): void {
  const path = round === 0 ? [...tokens] : tokens.slice(0, Math.max(1, tokens.length - round))
  const parents: Json[] = [root]
  for (const token of path.slice(0, -1)) {
    const parent = parents.at(-1)
    if (typeof parent !== 'object' || parent === null) return
    const child = Array.isArray(parent)
      ? parent[Number(token)]
      : Object.hasOwn(parent, token)
        ? parent[token]
        : undefined
    if (child === undefined) return
    parents.push(child)
  }
  for (let index = path.length - 1; index >= 0; index--) {
    const parent = parents[index]
    const token = path[index]
    if (typeof parent !== 'object' || parent === null || Array.isArray(parent) || token === undefined) continue
    delete parent[token]
    return
  }
}
