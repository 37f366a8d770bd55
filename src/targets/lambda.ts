/** AWS Lambda functions: a list of tools → operations, arguments → the event, what the function answered → outcome. */
import type { Issue, TargetAdapter } from './adapter.ts'
import { interpretInvocation } from './lambda/answer.ts'
import { toEvent } from './lambda/event.ts'
import { eventOf } from './lambda/keys.ts'
import type { Binding } from './lambda/tools.ts'
import { tellInto } from './mcp/issues.ts'

export const lambda: TargetAdapter = {
  kind: 'lambda',

  async load(bytes, options) {
    // What reads descriptions is loaded where one is read: in the import thread, and in no other.
    const [{ readFile }, { lambdaServer, readFacts }, { readTools }] = await Promise.all([
      import('./lambda/document.ts'),
      import('./lambda/function.ts'),
      import('./lambda/tools.ts'),
    ])
    const issues: Issue[] = []
    const issue = tellInto(issues)
    const { tools, pointer, said } = readFile(bytes)
    const facts = readFacts(said, (member, message, code) =>
      issue(
        code === 'lambda_role' ? 'warning' : 'error',
        code ?? 'lambda_function',
        `/${member}`,
        `${member}: ${message} It is not taken.`,
      ),
    )
    const operations = readTools(tools, pointer, options, issue)
    const { region, endpoint = region === undefined ? undefined : lambdaServer(region) } = facts
    const server = options.server ?? endpoint
    return {
      format: 'lambda-tools',
      ...(server === undefined ? {} : { server }),
      origins: [],
      operations,
      issues,
      lambda: facts,
    }
  },

  /** Its URL is only where the Lambda API is: which function is invoked is no matter of arguments. */
  prepare(operation, args, target) {
    const { renames } = operation.binding as unknown as Binding
    return {
      method: 'POST',
      url: `${target.origin}${target.basePath}/`,
      headers: new Map(target.headers.set),
      body: toEvent(renames === undefined ? args : eventOf(args, renames)),
    }
  },

  interpret: interpretInvocation,
}
