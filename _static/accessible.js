// What the theme, docutils and pandas leave in the way of screen readers and small screens.
document.addEventListener("DOMContentLoaded", () => {
  // The sidebar's logo lies outside all landmarks.
  const logo = document.querySelector(".bd-sidebar-primary .navbar-brand")?.parentElement;
  logo?.setAttribute("role", "navigation");
  logo?.setAttribute("aria-label", "Home");
  // An empty corner of a table is no header.
  for (const header of document.querySelectorAll("article th")) {
    if (header.textContent.trim()) continue;
    const cell = document.createElement("td");
    cell.className = header.className;
    header.replaceWith(cell);
  }
  // Short cells of a table stay on one line (see book.css); long ones wrap.
  for (const cell of document.querySelectorAll(".cell_output :is(th, td)"))
    cell.classList.add(cell.textContent.trim().length < 24 ? "short" : "long");
  // Roles of citations that are deprecated, or whose children they do not allow.
  for (const citation of document.querySelectorAll(".citation-list, .citation")) citation.removeAttribute("role");
});
