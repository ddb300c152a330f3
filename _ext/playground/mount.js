// Starts every playground of the page, and leaves the engine where a reader's console finds it.

function mountAll() {
  const roots = [...document.querySelectorAll(".pg:not([data-ready])")];
  return roots.map((root, k) => mount(root, k === 0));
}
const playgrounds = mountAll();
