/** OpenAPI 3.0, 3.1, 3.2 and Swagger 2.0 over HTTP: description → operations, arguments → request, answer → outcome. */
import type { TargetAdapter } from './adapter.ts'
import type { Issue } from './adapter.ts'
import type { Binding } from './openapi/binding.ts'
import { interpretAnswer } from './openapi/answer.ts'
import { buildRequest } from './openapi/request.ts'
import { addAnswers } from './openapi/result.ts'

export const openapi: TargetAdapter = {
  kind: 'openapi',

  async load(bytes, options) {
    // What reads descriptions is loaded where one is read: in the import thread, and in no other.
    const [{ readDocument }, { readOperations }] = await Promise.all([
      import('./openapi/document.ts'),
      import('./openapi/operations.ts'),
    ])
    const issues: Issue[] = []
    const document = await readDocument(bytes, issues, options.overlays ?? [])
    const { server, origins, operations } = readOperations(document, options, issues)
    return {
      format: document.dialect === '2.0' ? 'swagger-2.0' : `openapi-${document.dialect}`,
      ...(server === undefined ? {} : { server: `${server.origin}${server.basePath}` }),
      origins,
      operations,
      issues,
    }
  },

  prepare(operation, args, target, answers) {
    const request = buildRequest(operation.binding as unknown as Binding, args, target)
    if (answers !== undefined) addAnswers(request.headers, answers)
    return request
  },

  interpret: interpretAnswer,
}
