/** Functions besides those of `handlers.js`: for the bench, for cancelling, for a result that is an error. */

const rex = { id: 42, name: 'Rex', tags: ['dog', 'brown'], owner: { id: 7, name: 'Kim' }, note: 'x'.repeat(200) }

module.exports.pets = async ({ id }) => (id === rex.id ? rex : null)

module.exports.sleeper = ({ ms }) => new Promise((resolve) => setTimeout(resolve, ms, { slept: ms }))

module.exports.verdict = async ({ fails }) => ({
  content: [{ type: 'text', text: fails ? 'The shop is closed.' : 'Sold.' }],
  isError: fails === true,
  ...(fails ? {} : { structuredContent: { sold: true } }),
})
