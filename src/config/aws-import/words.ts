/** What is typed to import from AWS: which function, which stage, and which of its methods as what tools. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { factForms, readFunction } from '../../targets/lambda/function.ts'
import type { ManagedTools } from '../managed.ts'

export interface FunctionRef {
  /** Name, partial or full ARN, without a qualifier. */
  readonly id: string
  readonly name: string
  /** A version or an alias. */
  readonly qualifier?: string
  /** That of a full ARN. */
  readonly region?: string
}

export interface StageRef {
  readonly api: string
  readonly stage: string
}

const wrong = (words: string): GatewayError => new GatewayError('invalid_params', { words })

/** `lambda:` and a name, a partial or a full ARN, each with a qualifier or without. Throws `invalid_params`. */
export function functionOf(source: string, qualifier?: string): FunctionRef {
  const found = readFunction(source.replace(/^lambda:/, ''))
  if (found === undefined)
    throw wrong('After lambda: comes the name or the ARN of a function, with a version or an alias where one is meant.')
  const { function: id, qualifier: said, region } = found
  if (said !== undefined && qualifier !== undefined && said !== qualifier)
    throw wrong(`The function is named with the qualifier ${said}, and --qualifier says ${qualifier}.`)
  const meant = qualifier ?? said
  if (meant !== undefined && !factForms.qualifier.test(meant)) throw wrong('--qualifier is a version or an alias.')
  return {
    id,
    name: id.slice(id.lastIndexOf(':') + 1),
    ...(meant === undefined ? {} : { qualifier: meant }),
    ...(region === undefined ? {} : { region }),
  }
}

/** `apigateway:`, the id of a REST API, and a stage. Throws `invalid_params`. */
export function stageOf(source: string): StageRef {
  const [, api, stage] = /^apigateway:([A-Za-z0-9]{1,64})\/([A-Za-z0-9_-]{1,128})$/.exec(source) ?? []
  if (api === undefined || stage === undefined)
    throw wrong(
      'After apigateway: comes the id of a REST API and one of its stages, such as apigateway:a1b2c3d4e5/prod.',
    )
  return { api, stage }
}

const method = '(?:GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH)'
/** A path may have colons of its own; what follows the last is methods where it names some. */
const filterForm = new RegExp(`^(/(?:[^\\s*]*?|(?:[^\\s*]*/)?\\*))(?::(${method}(?:,${method})*))?$`, 'i')
const toolForm = new RegExp(`^(${method}) +(/[^\\s=*]*)=([A-Za-z0-9_-]{1,64})(?::(.*))?$`, 'is')

/**
 * `/pets/*:GET,POST` as patterns of `tools.include`: an explicit path, or all paths below a prefix; without methods, all
 * that the API has there. Throws `invalid_params`.
 */
export function filterOf(text: string): string[] {
  const [, path, methods] = filterForm.exec(text) ?? []
  if (path === undefined || text.length > limits.urlBytes)
    throw wrong(
      `--filter is a path and methods, such as "/pets/{petId}:GET" or "/pets/*:GET,POST", not “${shown(text)}”.`,
    )
  const pattern = path.endsWith('/*') ? `${path}*` : path
  return [...new Set(methods?.toUpperCase().split(',') ?? ['*'])].map((one) => `${one} ${pattern}`)
}

/** `GET /pets/{petId}=get_pet:What it does` as an override. Throws `invalid_params`. */
export function toolOf(text: string): [operation: string, override: ManagedTools['override'][string]] {
  const [, verb, path, name, description = ''] = toolForm.exec(text) ?? []
  if (verb === undefined || path === undefined || name === undefined || description.length > limits.toolProseChars)
    throw wrong(
      `--tool is a method, its path, a name and a description if you like, such as "GET /pets/{petId}=get_pet:Look up a pet", not “${shown(text)}”.`,
    )
  const said = description.trim()
  return [`${verb.toUpperCase()} ${path}`, { name, ...(said === '' ? {} : { description: said }) }]
}

/** A word of a stranger’s, fit for a terminal. */
export const shown = (text: string): string => text.slice(0, 200).replaceAll(/\p{C}/gu, '?')

/** A target’s name made of a word of somebody’s; empty when nothing legal is left. */
export const cleanName = (text: string): string =>
  text
    .slice(0, 256)
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 64)
    .replace(/-+$/, '')
