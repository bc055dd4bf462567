/** How many tokens of an answer are odd. */
export default (rows) => rows.map(({ ids }) => ids.filter((id) => id % 2).length)
